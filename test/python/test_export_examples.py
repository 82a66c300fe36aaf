# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""examples/export-kernels runs as its README says; what needs a package that is not installed is skipped."""
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
from real import ROOT, need_build

EXAMPLES = ROOT / "examples/export-kernels"


def run(*command, folder):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def layer(tmp_path_factory, own_home):
    """A folder with layer.onnx, layer.npy and kernels/."""
    need_build()
    pytest.importorskip("onnx")
    from real import BUILD

    folder = tmp_path_factory.mktemp("layer")
    run(sys.executable, EXAMPLES / "layer.py", folder=folder)
    for command in re.findall(r"(?m)^    whit-compile (.*)$", (EXAMPLES / "README.md").read_text()):
        run(BUILD / "bin/whit-compile", *command.split(), folder=folder)
    return folder


def check(text):
    """What each example says at its end."""
    before, after, error = re.search(r"(\d+) bytes of weights became (\d+); relative error ([\d.]+)", text).groups()
    assert int(before) == 384 * 256 * 4 and int(after) == 384 * 256 * 4.5 / 8
    assert 0.03 < float(error) < 0.15  # that of four bits


@pytest.fixture(scope="module")
def compiler():
    found = next((c for c in ("cc", "clang-22", "clang", "gcc") if shutil.which(c)), None)
    return found or pytest.skip("no C compiler")


def test_c(layer, compiler):
    run(compiler, "-std=c11", "-Wall", "-Werror", EXAMPLES / "multiply.c", "-Ikernels", "kernels/kernels.so", f"-Wl,-rpath,{layer}/kernels", "-lm",
        "-lpthread", "-o", "multiply", folder=layer)
    check(run(layer / "multiply", folder=layer))


def test_cuda(layer, compiler):
    """Without a driver the weights are packed, and the program says what is missing."""
    run(compiler, "-std=c11", "-Wall", "-Werror", EXAMPLES / "multiply_cuda.c", "-Ikernels-cuda", "kernels-cuda/kernels.so",
        f"-Wl,-rpath,{layer}/kernels-cuda", "-ldl", "-lm", "-o", "multiply_cuda", folder=layer)
    done = subprocess.run([str(layer / "multiply_cuda"), str(layer / "kernels-cuda")], capture_output=True, text=True)
    assert "393216 bytes of weights became 55296" in done.stdout
    if done.returncode == 3:
        assert "no NVIDIA driver: libcuda.so.1" in done.stderr
        pytest.skip("no NVIDIA driver: the kernel was not run")
    assert done.returncode == 0 and "relative error" in done.stdout, done.stderr


@pytest.mark.parametrize("name, package", [("numpy", "numpy"), ("tvm_ffi", "tvm_ffi"), ("torch", "torch"), ("jax", "jax"), ("onnxruntime", "onnxruntime")])
def test_python(layer, name, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    check(run(sys.executable, EXAMPLES / f"multiply_{name}.py", "kernels", "layer.npy", folder=layer))


def test_all_are_listed():
    listed = set(re.findall(r"\| `(multiply\S*)`", (EXAMPLES / "README.md").read_text()))
    assert listed == {name for name in os.listdir(EXAMPLES) if name.startswith("multiply")}
