# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels of every row of the table on six shapes, and of four rows on all shapes, beside plain loops; run by `./dev test --long`. So are those
for GPUs, in the simulator; what they refuse is listed in docs/gpu-refused.md, and that list is compared in every run of the tests."""
import hashlib
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from ledger import record
from real import BUILD, need_build

SWEEPS = {"LowerMatmul.SweepOfRows": "products of every row of the table on six shapes",
          "LowerMatmul.SweepOfShapes": "products of four rows on 45 shapes, 0 to 33 rows each",
          "LowerGather.SweepOfRows": "lookups and decoding of every row of the table on six shapes"}


@pytest.mark.skipif("WHIT_LONG" not in os.environ, reason="a quarter of an hour")
@pytest.mark.parametrize("name", SWEEPS)
def test_sweep(name):
    need_build()
    start = time.monotonic()
    done = subprocess.run([BUILD / "bin/whit-compiler-tests", f"--gtest_filter={name}"], capture_output=True, text=True, check=False)
    kernels = re.search(r"^(\d+) kernels$", done.stdout, re.M)
    record(f"sweep {name}", time.monotonic() - start, f"{int(kernels[1]) if kernels else 0:,} kernels: {SWEEPS[name]}", int(done.returncode != 0))
    assert done.returncode == 0 and kernels and "[  PASSED  ] 1 test" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]


REFUSED = Path(__file__).resolve().parents[2] / "docs/gpu-refused.md"
HEAD = """# What GPUs refuse

Written by the test of `test/e2e/test_kernel_sweep.py`: set `WHIT_UPDATE=1` to write it again. All other pairs of a format (a row of
`Formats.def`, or one formula of each kind) and activations (f32, bf16, int8, fp8) have a kernel on every GPU.

| format | activations | GPUs | reason |
|---|---|---|---|
"""


def sweep_gpus(lines: Path, seconds: str | None):
    """Goes on with a sweep; gives how many of how many kernels have run, and what the program said."""
    environment = {**os.environ, "WHIT_SWEEP": str(lines)} | ({} if seconds is None else {"WHIT_SWEEP_SECONDS": seconds})
    done = subprocess.run([BUILD / "bin/whit-compiler-tests", "--gtest_filter=LowerMatmul.SweepOfGpus"],
                          capture_output=True, text=True, check=False, env=environment)
    count = re.search(r"^(\d+) of (\d+) kernels$", done.stdout, re.M)
    assert count, done.stdout[-3000:] + done.stderr[-3000:]
    return int(count[1]), int(count[2]), done


def refused(lines: Path) -> str:
    """A line for each pair of a format and activations; what a GPU refuses whatever the format is one line."""
    pairs = {}
    for line in lines.read_text().splitlines():
        result, target, activations, _, format_ = line.split("\t")
        if result.startswith("refused: "):
            pairs.setdefault((activations, result.removeprefix("refused: "), format_), set()).add(target)
    rows, by_reason = [], {}
    for (activations, reason, format_), targets in sorted(pairs.items()):
        by_reason.setdefault((activations, reason, ", ".join(sorted(targets))), []).append(format_)
    for (activations, reason, targets), found in by_reason.items():
        for name in ["every one"] if "instruction" in reason else [f"`{format_}`".replace("|", "\\|") for format_ in found]:
            rows.append(f"| {name} | {activations} | {targets} | {reason} |\n")
    return HEAD + "".join(rows)


def test_what_gpus_refuse_is_listed(tmp_path):
    need_build()
    sweep_gpus(tmp_path / "lines.txt", "0")
    found = refused(tmp_path / "lines.txt")
    if "WHIT_UPDATE" in os.environ:
        REFUSED.write_text(found)
    assert REFUSED.read_text() == found, "docs/gpu-refused.md is out of date; WHIT_UPDATE=1 writes it"


@pytest.mark.skipif("WHIT_LONG" not in os.environ, reason="an hour")
def test_sweep_of_gpus():
    """Goes on where the last run of the same build ended; WHIT_SWEEP_SECONDS ends it."""
    need_build()
    program = (BUILD / "bin/whit-compiler-tests").read_bytes()
    lines = BUILD / f"gpu-sweep-{hashlib.sha256(program).hexdigest()[:12]}.txt"
    start = time.monotonic()
    count, total, done = sweep_gpus(lines, os.environ.get("WHIT_SWEEP_SECONDS"))
    failed = sum(line.startswith("failed") for line in lines.read_text().splitlines())
    record("sweep LowerMatmul.SweepOfGpus", time.monotonic() - start,
           f"{count:,} of {total:,} kernels: every format and activations on seven simulated GPUs, six shapes", failed)
    assert done.returncode == 0 and failed == 0, done.stdout[-3000:] + done.stderr[-3000:]
