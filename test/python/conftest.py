# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Shared by the Python tests: the package and this folder on the path, and small models made here."""
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "python", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory) -> Path:
    """A Llama of two layers with the block types of the real model."""
    from tiny import write_llama

    return write_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_onnx(tiny_gguf) -> Path:
    from whit.convert_gguf import convert

    return convert(tiny_gguf, tiny_gguf.with_name("tiny.onnx"))


@pytest.fixture(scope="session")
def own_home(tmp_path_factory):
    """The user's trust store and caches are left alone."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for name, folder in (("HOME", home), ("XDG_CONFIG_HOME", home / "config"), ("XDG_CACHE_HOME", home / "cache")):
            patch.setenv(name, str(folder))
        yield home


@pytest.fixture(scope="session")
def tiny_so(tiny_onnx, own_home) -> Path:
    """The tiny model compiled with f32 activations."""
    from real import need_build

    need_build()
    from whit.compiler import run_compiler

    output = tiny_onnx.with_suffix(".so")
    run_compiler(tiny_onnx, output, {"activations": "f32", "context": 64})
    return output
