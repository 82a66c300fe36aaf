# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m whit` as a user meets it."""
import os
import subprocess
import sys

from real import ROOT


def whit(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "whit", *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **environment})


def test_help_and_usage():
    assert whit("--help").returncode == 0
    assert whit("nonsense").returncode == 2
    assert whit("convert").returncode == 2


def test_convert(tiny_gguf, tmp_path):
    done = whit("convert", tiny_gguf, "-o", tmp_path / "t.onnx")
    assert done.returncode == 0 and done.stderr.startswith("convert ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.onnx", "t.onnx.data", "tokenizer.json", "tokenizer_config.json"]


def test_errors_have_one_form_and_their_exit_codes(tiny_gguf, tmp_path):
    done = whit("convert", tmp_path / "nothing.gguf")
    assert done.returncode == 4 and done.stderr == f"whit: error: {tmp_path}/nothing.gguf: no such file or directory\n"
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_gguf.read_bytes()[:300])
    done = whit("convert", broken)
    assert done.returncode == 1 and "truncated" in done.stderr and "Traceback" not in done.stderr
    done = whit("run", "x.so", WHIT_BUILD=str(tmp_path), PATH="")
    assert done.returncode in (0, 1, 2, 4, 6) and "Traceback" not in done.stderr


def test_import_is_light():
    code = "import sys, whit; assert not {'numpy', 'onnx', 'tokenizers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "python")}).returncode == 0
