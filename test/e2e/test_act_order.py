# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MatMulNBits whose groups are not in the order of K (act-order): what ONNX Runtime and numpy compute of it."""
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper


def nbits(name, random, n, k, bits, block, indices, zeros=True):
    """A node, its initializers and its weight [n, k] in the order of K."""
    blocks = -(-k // block)
    codes, scales = random.integers(0, 2**bits, (n, blocks * block)), random.uniform(0.01, 0.1, (n, blocks)).astype(np.float32)
    points = random.integers(0, 2**bits, (n, blocks)) if zeros else np.full((n, blocks), 2 ** (bits - 1))

    def stream(values):
        planes = (values[..., None] >> np.arange(bits)) & 1
        return np.packbits(planes.reshape(*values.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")

    held = {"codes": stream(codes).reshape(n, blocks, -1), "scales": scales.reshape(-1)}
    if zeros:
        held["zeros"] = stream(points).reshape(-1)
    if indices is not None:
        held["indices"] = indices.astype(np.int32)
    inputs = ["x", *(f"{name}_{part}" if part in held else "" for part in ("codes", "scales", "zeros", "indices"))]
    node = helper.make_node("MatMulNBits", inputs, [name], name=f"/{name}", domain="com.microsoft", N=n, K=k, bits=bits, block_size=block)
    group = np.arange(k) // block if indices is None else indices
    weight = (codes[:, :k] - points[:, group]) * scales.astype(np.float64)[:, group]
    return node, [numpy_helper.from_array(v, f"{name}_{part}") for part, v in held.items()], weight


def save(path, parts, k):
    graph = helper.make_graph([p[0] for p in parts], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "rows", k])],
                              [helper.make_tensor_value_info(p[0].output[0], TensorProto.FLOAT, None) for p in parts],
                              [tensor for p in parts for tensor in p[1]])
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=10), str(path))


@pytest.mark.parametrize("bits, block, k", [(4, 16, 88), (8, 32, 128), (2, 32, 64)])
def test_act_order_is_what_others_compute(tools, tmp_path, bits, block, k):
    random = np.random.default_rng([bits, block, k])
    first, second = (random.permutation(np.arange(k) // block) for _ in range(2))
    parts = [nbits("q", random, 40, k, bits, block, first), nbits("k", random, 24, k, bits, block, first, zeros=False),
             nbits("v", random, 24, k, bits, block, second), nbits("o", random, 24, k, bits, block, None)]
    save(tmp_path / "m.onnx", parts, k)
    x = random.normal(0, 1, (2, 3, k)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    for activations in ("int8", "f32"):
        tools.run("whit-compile", tmp_path / "m.onnx", "-o", tmp_path / "m.so", f"--activations={activations}", "--quiet")
        assert "regions within their bounds" in tools.run("whit-check", tmp_path / "m.onnx", tmp_path / "m.so", "--inputs", tmp_path / "in.npz").out
    found = tools.infer(tmp_path / "m.so", {"x": x})
    others = {}
    if bits == 4:  # the only width for which ONNX Runtime 1.31 follows indices, and it takes zero points for 8 then
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        others = dict(zip("ko", session.run(["k", "o"], {"x": x})))
    for node, _, weight in parts:
        name = node.output[0]
        exact, size = x.astype(np.float64) @ weight.T, np.abs(x.astype(np.float64)) @ np.abs(weight).T
        bound = size * (k + 2) * 2.0**-24
        assert (np.abs(found[name] - exact) <= bound).all(), name
        if name in others:
            assert (np.abs(others[name] - exact) <= bound).all(), f"ONNX Runtime computes something else for {name}"


def test_an_order_is_made_once_and_with_what_quantizes(tools, tmp_path):
    random = np.random.default_rng(3)
    indices = random.permutation(np.arange(128) // 32)
    save(tmp_path / "m.onnx", [nbits(name, random, 32, 128, 4, 32, indices, zeros=False) for name in "qkv"], 128)
    text = tmp_path / "m.mlir"
    tools.run("whit-compile", tmp_path / "m.onnx", "-o", text, "--stop-after=fused", "--quiet")
    regions = text.read_text().split("whit.region")[1:]
    assert ["tensor.extract " in r for r in regions] == ["whit.quantize " in r for r in regions]
    assert sum("tensor.extract " in r for r in regions) == 1 and sum(r.count("whit.quantized_matmul ") for r in regions) == 1
