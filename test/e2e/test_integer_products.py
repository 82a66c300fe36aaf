# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Products of codes with constants are the integers that they are, and codes of results those of ONNX Runtime, bit for bit."""
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

KINDS = {"u": np.uint8, "s": np.int8}


def codes(random, kind, *shape):
    """All codes, the extremes often."""
    info = np.iinfo(KINDS[kind])
    found = random.integers(info.min, info.max + 1, shape)
    return np.where(random.random(shape) < 0.2, random.choice([info.min, info.max], shape), found).astype(KINDS[kind])


def save(folder, nodes, inputs, result, tensors, domain="com.microsoft"):
    info = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), ["n", *array.shape[1:]]) for name, array in inputs.items()]
    graph = helper.make_graph(nodes, "products", info, [helper.make_tensor_value_info("y", result, None)],
                              [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "model.onnx")
    return folder / "model.onnx"


def agree(tools, path, inputs):
    wanted = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)[0]
    tools.run("whit-compile", path, "-o", path.with_suffix(".so"), "--quiet")
    np.testing.assert_array_equal(tools.infer(path.with_suffix(".so"), inputs)["y"], wanted)
    np.savez(path.with_suffix(".npz"), **inputs)
    tools.run("whit-check", path, "--inputs", path.with_suffix(".npz"), "--outputs", path.with_name("exact.npz"))
    with np.load(path.with_name("exact.npz")) as file:  # i64
        np.testing.assert_array_equal(file["y"], wanted)
    tools.run("whit-compile", path, "--stop-after=imported", "-o", path.with_suffix(".mlir"), "--quiet")
    return path.with_suffix(".mlir").read_text()


# (name, types of x, w and y, zeros of x and w, filters, channels, groups, kernel, attributes)
CONVOLUTIONS = [
    ("rows", "usu", 100, 0, 24, 16, 1, 1, {}),
    ("windows", "usu", 7, 0, 10, 3, 1, 3, {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ("signed", "sss", -5, 0, 8, 20, 1, 3, {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    ("unsigned weights", "uuu", 128, 77, 9, 5, 1, 2, {}),
    ("middle", "uuu", 0, 128, 9, 5, 1, 2, {"pads": [1, 1, 0, 0]}),
    ("strided rows", "usu", 3, 0, 6, 8, 1, 1, {"strides": [2, 2]}),
    ("each channel", "usu", 50, 0, 12, 12, 12, 3, {"pads": [1, 1, 1, 1]}),
    ("each channel, strided", "usu", 50, 0, 12, 12, 12, 3, {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
    ("each channel, unsigned", "uuu", 50, 9, 4, 4, 4, 3, {"pads": [1, 1, 1, 1]}),
    ("groups", "usu", 50, 0, 6, 8, 2, 3, {"pads": [1, 1, 1, 1]}),
]


@pytest.mark.parametrize("name, kinds, zero, w_zero, filters, channels, groups, kernel, how", CONVOLUTIONS, ids=[c[0] for c in CONVOLUTIONS])
def test_convolutions(tools, tmp_path, name, kinds, zero, w_zero, filters, channels, groups, kernel, how):
    random = np.random.default_rng(len(name))
    x, w = codes(random, kinds[0], 2, channels, 7, 6), codes(random, kinds[1], filters, channels // groups, kernel, kernel)
    depth = channels // groups * kernel * kernel
    tensors = {"xs": np.float32(0.021), "xz": KINDS[kinds[0]](zero), "w": w, "ws": random.uniform(0.5, 1, filters).astype(np.float32) * np.float32(0.01),
               "wz": np.full(filters, w_zero, KINDS[kinds[1]]), "ys": np.float32(0.021 * 100 * depth**0.5 * 0.01), "yz": KINDS[kinds[2]](11),
               "b": random.integers(-3000, 3000, filters).astype(np.int32)}
    nodes = [helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], group=groups, **how)]
    path = save(tmp_path, nodes, {"x": x}, helper.np_dtype_to_tensor_dtype(np.dtype(KINDS[kinds[2]])), tensors)
    text = agree(tools, path, {"x": x})
    assert ("whit.quantized_matmul" in text) == (groups == 1)


@pytest.mark.parametrize("k, kind, w_kind", [(40, "u", "s"), (7, "s", "s"), (300, "u", "u"), (1500, "u", "s"), (3000, "s", "s")])
def test_products(tools, tmp_path, k, kind, w_kind):
    """Of long rows f32 would round the sums, if codes were not cut in halves: all of them are extremes here."""
    random = np.random.default_rng(k)
    x, w = codes(random, kind, 3, k), codes(random, w_kind, k, 20)
    x[0], w[:, 0] = np.iinfo(KINDS[kind]).max, np.iinfo(KINDS[w_kind]).max
    x[1], w[:, 1] = np.iinfo(KINDS[kind]).min, np.iinfo(KINDS[w_kind]).min
    w[k // 2, 0] -= 1  # odd, and so beyond what f32 holds
    tensors = {"w": w, "xz": KINDS[kind](3), "wz": KINDS[w_kind](5 if w_kind == "u" else 0)}
    path = save(tmp_path, [helper.make_node("MatMulInteger", ["x", "w", "xz", "wz"], ["y"])], {"x": x}, TensorProto.INT32, tensors)
    text = agree(tools, path, {"x": x})
    assert text.count("whit.quantized_matmul ") == (2 if k >= 1500 else 1)


def test_zero_points_of_the_call(tools, tmp_path):
    """What DynamicQuantizeLinear finds is only known at the call."""
    random = np.random.default_rng(1)
    x, w = random.standard_normal((5, 33)).astype(np.float32), codes(random, "s", 33, 12)
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["c", "s", "z"]), helper.make_node("MatMulInteger", ["c", "w", "z"], ["y"])]
    path = save(tmp_path, nodes, {"x": x}, TensorProto.INT32, {"w": w})
    assert "whit.quantized_matmul" in agree(tools, path, {"x": x})


def test_gemm(tools, tmp_path):
    random = np.random.default_rng(2)
    x, w = codes(random, "u", 4, 24), codes(random, "s", 10, 24)
    tensors = {"xs": np.float32(0.02), "xz": np.uint8(9), "w": w, "ws": random.uniform(0.5, 1, 10).astype(np.float32) * np.float32(0.01),
               "wz": np.zeros(10, np.int8), "b": random.integers(-900, 900, 10).astype(np.int32), "ys": np.float32(0.11), "yz": np.uint8(100)}
    nodes = [helper.make_node("QGemm", ["x", "xs", "xz", "w", "ws", "wz", "b", "ys", "yz"], ["y"], domain="com.microsoft", transB=1)]
    agree(tools, save(tmp_path, nodes, {"x": x}, TensorProto.UINT8, tensors), {"x": x})
