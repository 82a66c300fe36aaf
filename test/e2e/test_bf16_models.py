# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models whose own tensors are bf16: computed in f32 and rounded where the model says so, at vector width, products in pairs."""
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

BF16 = TensorProto.BFLOAT16
K, HIDDEN, N = 93, 80, 40


def stored(values):
    """To nearest even in 16 bits, which is what numpy has no type for."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def numbers(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def save(path, nodes, inputs, outputs, constants):
    made = [helper.make_tensor(name, BF16, value.shape, stored(value).tobytes(), raw=True) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "bf16", [helper.make_tensor_value_info(name, BF16, dims) for name, dims in inputs.items()],
                              [helper.make_tensor_value_info(name, BF16, dims) for name, dims in outputs.items()], made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """What a layer is made of, with rows in batches and a K that is not even."""
    random = np.random.default_rng(5)
    constants = {"w": random.normal(size=(K, HIDDEN)) / 8, "b": random.normal(size=HIDDEN), "scale": random.normal(size=HIDDEN),
                 "shift": random.normal(size=HIDDEN), "v": random.normal(size=(HIDDEN, N)) / 8}
    nodes = [helper.make_node(op, given, [out], name=out) for op, given, out in
             (("MatMul", ["x", "w"], "up"), ("Add", ["up", "b"], "biased"), ("Gelu", ["biased"], "gelu"),
              ("LayerNormalization", ["gelu", "scale", "shift"], "norm"), ("Softmax", ["norm"], "soft"),
              ("MatMul", ["norm", "v"], "y"), ("Mul", ["soft", "norm"], "z"))]
    return save(tmp_path_factory.mktemp("bf16") / "block.onnx", nodes, {"x": ["batch", "rows", K]},
                {"y": ["batch", "rows", N], "z": ["batch", "rows", HIDDEN]}, constants)


def test_every_region_is_within_its_bound(tools, block, compiled, tmp_path):
    np.savez(tmp_path / "in.npz", x=stored(np.random.default_rng(6).normal(size=(2, 5, K))))
    for target in ("host", "x86-64"):
        artifact, _ = compiled(block, f"--target={target}")
        done = tools.run("whit-check", block, artifact, "--inputs", tmp_path / "in.npz")
        assert "regions within their bounds" in done.out, target


def test_kernels_are_vectors_and_call_nothing(tools, block, tmp_path):
    for target, product in (("znver4", "vdpbf16ps"), ("x86-64-v3", "vfmadd231ps"), ("x86-64", "mulps")):
        text = tmp_path / f"{target}.s"
        tools.run("whit-compile", block, "-o", text, "--emit=asm", f"--target={target}", "--quiet")
        code = text.read_text()
        assert product in code
        assert not re.findall(r"__(?:trunc|extend)\w*", code)  # conversions by calls, one number each


def test_matmuls_read_what_is_stored(tools, block, tmp_path):
    """Neither the input nor the norm is widened in memory before a product."""
    text = tmp_path / "fused.mlir"
    tools.run("whit-compile", block, "-o", text, "--stop-after=fused", "--quiet")
    matmuls = [line for line in text.read_text().splitlines() if " whit.matmul " in line]
    assert len(matmuls) == 2 and all("xbf16>, !whit.tensor" in line for line in matmuls), matmuls


def test_small_integers_are_exact(tools, compiled, tmp_path):
    """Sums up to 8 bits fit in a bf16, so there is one right answer: constant weight, two activations, and an elementwise one."""
    random = np.random.default_rng(7)
    x, w, u = (random.integers(-1, 2, shape).astype(np.float32) for shape in ((7, K), (K, 33), (K, 33)))
    model = save(tmp_path / "exact.onnx",
                 [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("MatMul", ["x", "u"], ["z"]),
                  helper.make_node("Sub", ["y", "z"], ["d"])],
                 {"x": ["rows", K], "u": [K, 33]}, {"y": ["rows", 33], "z": ["rows", 33], "d": ["rows", 33]}, {"w": w})
    for target in ("host", "x86-64-v3", "x86-64"):
        out = tools.infer(compiled(model, f"--target={target}")[0], {"x": stored(x), "u": stored(u)})
        np.testing.assert_array_equal(numbers(out["y"]), x @ w)
        np.testing.assert_array_equal(numbers(out["z"]), x @ u)
        np.testing.assert_array_equal(numbers(out["d"]), x @ w - x @ u)


PROGRAM = """
module @bf16 {
  func.func public @main(%arg0: tensor<93x40xbf16> {mhlo.layout_mode = "default"}, %arg1: tensor<6x93xbf16>) -> (tensor<6x40xbf16> {jax.result_info = "y"}) {
    %0 = stablehlo.dot_general %arg1, %arg0, contracting_dims = [1] x [0], precision = [DEFAULT, DEFAULT] : (tensor<6x93xbf16>, tensor<93x40xbf16>) -> tensor<6x40xbf16>
    %1 = stablehlo.tanh %0 : tensor<6x40xbf16>
    return %1 : tensor<6x40xbf16>
  }
}
"""


def test_a_program_of_bf16_is_within_its_bound(tools, compiled, tmp_path):
    (tmp_path / "program.mlir").write_text(PROGRAM)
    random = np.random.default_rng(8)
    np.savez(tmp_path / "in.npz", arg0=stored(random.normal(size=(K, N)) / 8), arg1=stored(random.normal(size=(6, K))))
    for target in ("host", "x86-64"):
        artifact, _ = compiled(tmp_path / "program.mlir", f"--target={target}")
        done = tools.run("whit-check", tmp_path / "program.mlir", artifact, "--inputs", tmp_path / "in.npz")
        assert "regions within their bounds" in done.out, target


def test_subnormal_numbers_may_be_taken_for_zero(tools, compiled, tmp_path):
    """vdpbf16ps does: the bound of a product of bf16 has room for that, and for no more."""
    random = np.random.default_rng(9)
    model = save(tmp_path / "small.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["rows", K]}, {"y": ["rows", N]},
                 {"w": random.uniform(1, 2, (K, N))})
    np.savez(tmp_path / "in.npz", x=random.integers(1, 128, (3, K)).astype(np.uint16))
    for target in ("host", "x86-64-v3"):
        done = tools.run("whit-check", model, compiled(model, f"--target={target}")[0], "--inputs", tmp_path / "in.npz")
        assert "regions within their bounds" in done.out, target
        for bound in re.findall(r"bound ([0-9.]+e[+-]\d+)", done.out):  # named where a number differs at all
            assert float(bound) < 2.0**-126 * 4 * K, target
