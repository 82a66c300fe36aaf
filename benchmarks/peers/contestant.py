# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What every contestant of a benchmark has: its options, a cache of files made for it, and ways to take time.

A contestant is a generator. It makes its files and yields None; then it measures and yields (row, value), where `row` is the name of a row
of rows.py. Files are made once, before the rounds begin, so that nothing but the measurement happens in a round.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WHIT_BUILD", ROOT / "build"))


@dataclass(frozen=True)
class Options:
    """What a round tells its contestants. Paths: models are those of the tests, work is the environment of `setup`."""

    models: pathlib.Path
    work: pathlib.Path
    threads: int
    shapes: tuple  # of matmuls: (K, N)
    formats: tuple  # of matmuls: int4_g32 ...
    cold_mib: int  # of weights that a cold matmul passes over

    @staticmethod
    def parse(text):
        found = json.loads(text)
        return Options(pathlib.Path(found["models"]), pathlib.Path(found["work"]), found["threads"],
                       tuple(map(tuple, found["shapes"])), tuple(found["formats"]), found["cold_mib"])

    def to_json(self):
        return json.dumps({"models": str(self.models), "work": str(self.work), "threads": self.threads, "shapes": self.shapes,
                           "formats": self.formats, "cold_mib": self.cold_mib})

    def cached(self, name, make):
        """The folder work/cache/NAME, filled once by make(folder); one that was filled in part is made again."""
        folder = self.work / "cache" / name
        if not folder.exists():
            part = folder.with_name(f"part-{name}")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            make(part)
            part.rename(folder)
        return folder


def best_seconds(call, budget=0.5):
    """The least time of a call: calls for at least `budget` seconds, and three of them unless they are very slow."""
    times = []
    while sum(times) < budget or (len(times) < 3 and sum(times) < 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def compiled(options, name, model, *flags):
    """Path of `model` as compiled by the compiler of this build with these flags; the seconds that took lie beside it."""
    compiler = BUILD / "bin/whit-compile"
    key = hashlib.sha256(repr((str(model), model.stat().st_mtime, flags)).encode())
    for file in (compiler, BUILD / "lib/libwhit_compiler.so"):
        key.update(file.read_bytes())

    def make(folder):
        start = time.perf_counter()
        subprocess.run([compiler, model, "-o", folder / "model.so", "--quiet", *flags], check=True)
        (folder / "seconds").write_text(str(time.perf_counter() - start))
    return options.cached(f"whit-{name}-{key.hexdigest()[:12]}", make) / "model.so"


def whit_run(artifact, options, *flags):
    """What whit-run reports of a run, as a dictionary."""
    done = subprocess.run([BUILD / "bin/whit-run", artifact, f"--threads={options.threads}", "--json", *flags], check=True, capture_output=True,
                          text=True)
    return json.loads(done.stdout)
