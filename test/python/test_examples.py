# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The examples run as their README says."""
import os
import shutil
import subprocess
import sys

import pytest
from real import BUILD, ROOT, need_build


def python(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_arrays(own_home):
    need_build()
    out = python("arrays.py")
    assert "1 rows: largest difference" in out and "5 rows: largest difference" in out


def test_generate_in_two_languages(tiny_so, tmp_path):
    compiler = next((c for c in ("cc", "clang-22", "clang", "gcc") if shutil.which(c)), None)
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path / "generate"
    subprocess.run([compiler, "-std=c11", "-Wall", "-Werror", str(ROOT / "examples/generate.c"), f"-I{ROOT / 'include'}",
                    f"-L{BUILD / 'lib'}", "-lwhit_runtime", f"-Wl,-rpath,{BUILD / 'lib'}", "-o", str(program)], check=True)
    from whit.tokens import Tokens

    text = "the hen in a"
    ids = Tokens(tiny_so.parent).encode(text)
    done = subprocess.run([str(program), str(tiny_so), "5", *map(str, ids)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import whit

    assert [int(line) for line in done.stdout.split()] == list(whit.load(tiny_so).session().generate(ids, 5))
    assert python("generate.py", tiny_so, text).startswith(text)
    assert subprocess.run([str(program)], capture_output=True).returncode == 2
