# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quantizing while compiling takes memory for a layer, not for a model."""
import os

import numpy as np
import pytest
from ledger import record

K, N = 1024, 2048


def write_layers(folder, layers, k, n):
    """A chain of matmuls K -> N -> K ... with random weights in a file of their own; its path."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    random, nodes, stored, value, offset = np.random.default_rng(3), [], [], "x", 0
    with open(folder / "layers.data", "wb") as data:
        for i in range(layers):
            rows, columns = (k, n) if i % 2 == 0 else (n, k)
            weight = random.standard_normal((rows, columns), np.float32)
            weight *= 0.02
            data.write(weight)
            tensor = TensorProto(name=f"layer{i}", data_type=TensorProto.FLOAT, dims=[rows, columns], data_location=TensorProto.EXTERNAL)
            for key, text in (("location", "layers.data"), ("offset", str(offset)), ("length", str(weight.nbytes))):
                tensor.external_data.add(key=key, value=text)
            offset += weight.nbytes
            stored.append(tensor)
            nodes.append(helper.make_node("MatMul", [value, f"layer{i}"], [f"y{i}"], name=f"/layer{i}/MatMul"))
            value = f"y{i}"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", k])]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", k if layers % 2 == 0 else n])]
    graph = helper.make_graph(nodes, "layers", inputs, outputs, stored)
    path = folder / "layers.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))
    return path


@pytest.mark.parametrize("flags", [("--weights=int4_g32",), ("--weights=uint4_g32_min", "--quantizer=nearest"), ()], ids=" ".join)
def test_memory_does_not_grow_with_the_model(tools, tmp_path, flags):
    """Eight layers of 8 MiB beside the same code with next to no weights: what is added is less than two layers."""
    peaks = []
    for name, k, n in (("small", 128, 128), ("large", K, N)):
        folder = tmp_path / name
        folder.mkdir()
        model = write_layers(folder, 8, k, n)
        peaks.append(tools.run("whit-compile", model, "-o", folder / "layers.so", "--quiet", *flags).peak_mb)
    layer = K * N * 4 / 2**20
    assert peaks[1] - peaks[0] < 1.3 * layer + 24, f"{peaks[1]:.0f} MiB for 64 MiB of weights, {peaks[0]:.0f} MiB without"


@pytest.mark.skipif("WHIT_LONG" not in os.environ, reason="writes 1 GB; ./dev test --long runs it")
@pytest.mark.parametrize("format", ["int4_g32", "int8_tensor"])
def test_a_gigabyte_takes_a_layer_and_a_gigabyte(tools, tmp_path, format):
    """1 GiB of f32 in eight layers of 128 MiB, quantized with one scale a group and with one scale a layer, which must be seen whole."""
    model = write_layers(tmp_path, 8, 4096, 8192)
    done = tools.run("whit-compile", model, "-o", tmp_path / "layers.so", "--quiet", f"--weights={format}", timeout=1800)
    within = done.peak_mb < 1.3 * 128 + 1024
    record(f"streaming to {format}", done.seconds, f"1,024 MiB of weights in {done.peak_mb:.0f} MiB of memory", int(not within))
    assert within, f"{done.peak_mb:.0f} MiB"
