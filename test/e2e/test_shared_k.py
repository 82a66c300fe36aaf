# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A matmul whose K blocks share, with what follows it, from a model to the simulator: a row has the same bits alone, among few and among many."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

K, N = 8192, 40


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """relu(x w + b), for any number of rows."""
    random = np.random.default_rng(4)
    weights = {"w": random.normal(0, 0.05, (K, N)).astype(np.float32), "b": random.normal(0, 1, N).astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["product"], name="up"), helper.make_node("Add", ["product", "b"], ["sum"]),
             helper.make_node("Relu", ["sum"], ["y"])]
    graph = helper.make_graph(nodes, "shared", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", K])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", N])],
                              [numpy_helper.from_array(value, name) for name, value in weights.items()])
    path = tmp_path_factory.mktemp("shared") / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


@pytest.mark.parametrize("target", ["sm_80", "gfx942"])
@pytest.mark.parametrize("activations", ["bf16", "int8"])
def test_a_row_keeps_its_bits(tools, tmp_path, model, target, activations):
    artifact, remarks, given, made = (tmp_path / name for name in ("m.so", "remarks.txt", "in.npz", "out.npz"))
    tools.run("whit-compile", model, "-o", artifact, "--weights=int4_g128", f"--activations={activations}", f"--target={target}",
              "--target=x86-64-v3", "--simulation", "--quiet", f"--explain={remarks}")
    assert "blocks share the K of a tile" in remarks.read_text()
    x = np.random.default_rng(1).normal(0, 1, (20, K)).astype(np.float32)

    def run(rows, *device):
        np.savez(given, x=x[:rows])
        tools.run("whit-run", artifact, *device, "--inputs", given, "--outputs", made)
        return np.load(made)["y"]

    many = run(20, f"--device=sim:{target}")
    assert 0.2 < np.mean(many == 0) < 0.8
    for rows in (1, 8):
        np.testing.assert_array_equal(run(rows, f"--device=sim:{target}").view(np.int32), many[:rows].view(np.int32))
    expected = run(20)
    np.testing.assert_allclose(many, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)
