# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels of every row of the table on six shapes, and of four rows on all shapes, beside plain loops; run by `./dev test --long`."""
import os
import re
import subprocess
import time

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
