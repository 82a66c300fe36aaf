# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""An artifact is what the compiler wrote, whole, or it is refused: every byte changed, every length cut. (What a compiler that is
killed leaves behind is in test_interrupted.py.)"""
import ctypes
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from real import BUILD

REFUSED = 6


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("trust", ctypes.c_int), ("verify", ctypes.c_int), ("target", ctypes.c_char_p)]


@pytest.fixture(scope="module")
def load():
    """load(path) -> status of the library; the caller vouches for the code, so that only damage can be a reason to refuse it."""
    library = ctypes.CDLL(str(BUILD / "lib/libwhit_runtime.so"))
    library.whit_module_load.argtypes = [ctypes.c_char_p, ctypes.POINTER(Options), ctypes.POINTER(ctypes.c_void_p)]
    library.whit_module_destroy.argtypes = [ctypes.c_void_p]
    options = Options(ctypes.sizeof(Options), 1, 1, None)

    def call(path) -> int:
        module = ctypes.c_void_p()
        status = library.whit_module_load(os.fsencode(path), ctypes.byref(options), ctypes.byref(module))
        library.whit_module_destroy(module)
        return status

    return call


def product(path, seed: int, size: int = 16):
    """A model of one matrix product; `seed` decides its weight."""
    weight = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], "product",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", size])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", size])],
                              [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


@pytest.mark.parametrize("kind", ["beside", "embedded"])
def test_every_changed_byte_and_every_length_is_refused(tools, load, tmp_path, kind):
    model, artifact = product(tmp_path / "m.onnx", 1), tmp_path / "m.so"
    flags = ["--embed-weights"] if kind == "embedded" else []
    tools.run("whit-compile", model, "-o", artifact, "--target=x86-64", "--quiet", *flags)
    assert load(artifact) == 0
    files = [artifact] if flags else [artifact, artifact.with_suffix(".safetensors")]
    for path in files:
        whole = path.read_bytes()
        assert len(whole) < 20_000, "an artifact this large makes the test slow"
        handle = os.open(path, os.O_RDWR)
        for at, byte in enumerate(whole):
            os.pwrite(handle, bytes([byte ^ (1 << at % 8)]), at)
            assert load(artifact) == REFUSED, f"{path.name}: byte {at} changed"
            os.pwrite(handle, bytes([byte]), at)
        assert load(artifact) == 0
        for length in range(len(whole) - 1, -1, -1):
            os.ftruncate(handle, length)
            assert load(artifact) == REFUSED, f"{path.name}: cut to {length} bytes"
        os.pwrite(handle, whole + b"\0", 0)
        assert load(artifact) == REFUSED, f"{path.name}: a byte more"
        os.ftruncate(handle, len(whole))
        os.close(handle)
    assert load(artifact) == 0
