# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the fuzz targets one after the other and records what they did in the ledger (test/ledger.py).

usage: run.py BIN [--seconds N] [TARGET...]    BIN holds whit-fuzz-<Target>, built with WHIT_FUZZ=ON

An input that breaks a target is left in test/fuzz/corpus/<Target>/, where every later test run tries it again. Exits with 1
when there was one.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from ledger import record  # noqa: E402

# What is worth starting from besides the corpus: (folder, suffix).
SEEDS = {"DialectText": [("dialects", ".mlir")]}
# LLVM's allocators poison memory in code that is inlined into ours and give it free in their own, which is not instrumented: their
# poisoning is switched off (allow_user_poisoning). Contexts are never destroyed, which is no leak.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:allow_user_poisoning=0"}


def fuzz(program: pathlib.Path, seconds: int) -> tuple[int, int]:
    """(inputs tried, inputs that broke it)"""
    target = program.name.removeprefix("whit-fuzz-")
    corpus = HERE / "corpus" / target
    with tempfile.TemporaryDirectory() as scratch:
        seeds = pathlib.Path(scratch) / "seeds"
        seeds.mkdir()
        for folder, suffix in SEEDS.get(target, []):
            for number, file in enumerate(sorted((HERE.parent / folder).rglob("*" + suffix))):
                (seeds / f"{folder}-{number}").write_bytes(file.read_bytes())
        found = pathlib.Path(scratch) / "found"
        found.mkdir()
        log = subprocess.run(
            ["nice", "-n", "10", program, f"-max_total_time={seconds}", "-print_final_stats=1", "-rss_limit_mb=4096", "-timeout=5",
             f"-artifact_prefix={corpus}/", "-max_len=65536", found, corpus, seeds],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            env=os.environ | SANITIZERS, check=False)
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", log.stderr)
    if log.returncode:
        print(log.stderr[-3000:], file=sys.stderr)
    return int(inputs[1]) if inputs else 0, int(log.returncode != 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_intermixed_args()  # targets may follow the flag
    programs = sorted(arguments.bin.glob("whit-fuzz-*"))
    if arguments.targets:
        programs = [p for p in programs if p.name.removeprefix("whit-fuzz-") in arguments.targets]
    if not programs:
        sys.exit(f"no fuzz targets in {arguments.bin}")
    broken = 0
    for program in programs:
        inputs, crashes = fuzz(program, arguments.seconds)
        broken += crashes
        record(program.name.removeprefix("whit-fuzz-"), arguments.seconds, f"{inputs:,} inputs", crashes)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
