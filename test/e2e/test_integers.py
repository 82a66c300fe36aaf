# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Integers without a sign and of few bits, as data: what the evaluator of the onnx package computes, bit for bit."""
import sys

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from real import ROOT

sys.path.insert(0, str(ROOT / "test/lib/Import/ONNX"))
import integers  # noqa: E402
import models  # noqa: E402

U8, I8, U4, I4, I16, U16 = (getattr(onnx.TensorProto, name) for name in "UINT8 INT8 UINT4 INT4 INT16 UINT16".split())


def both(tools, folder, proto, feeds):
    """What the compiled model and the interpreter make of it, beside the evaluator's outputs, by name."""
    onnx.save(proto, folder / "model.onnx")
    names = [output.name for output in proto.graph.output]
    expected = dict(zip(names, ReferenceEvaluator(proto).run(None, feeds)))
    tools.run("whit-compile", folder / "model.onnx", "-o", folder / "model.so", "--activations=f32", "--quiet")
    found = tools.infer(folder / "model.so", feeds)
    np.savez(folder / "in.npz", **feeds)
    tools.run("whit-check", folder / "model.onnx", "--inputs", folder / "in.npz", "--outputs", folder / "exact.npz")
    done = tools.run("whit-check", folder / "model.onnx", folder / "model.so", "--inputs", folder / "in.npz")
    assert "within their bounds" in done.out
    with np.load(folder / "exact.npz") as file:
        return expected, found, dict(file)


def same(expected, *others):
    for name, wanted in expected.items():
        for found in others:
            assert found[name].shape == wanted.shape and np.array_equal(found[name], np.asarray(wanted)), name
        assert others[0][name].dtype == wanted.dtype


def test_operators_on_bytes(tools, tmp_path):
    random = np.random.default_rng(3)
    feeds = {"x": random.integers(0, 256, (9, 24), np.uint8), "y": random.integers(1, 256, (9, 24), np.uint8),
             "halves": random.uniform(0, 255.9, (9, 24)).astype(np.float32)}
    assert (feeds["x"] > 127).any() and (feeds["y"] > 127).any()
    same(*both(tools, tmp_path, integers.elementwise(), feeds))


KINDS = {U8: (0, 255), I8: (-128, 127), U4: (0, 15), I4: (-8, 7), I16: (-32768, 32767), U16: (0, 65535), onnx.TensorProto.UINT2: (0, 3),
         onnx.TensorProto.INT2: (-2, 1)}


@pytest.mark.parametrize("per", ("tensor", "axis", "block"))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: onnx.TensorProto.DataType.Name(kind).lower())
def test_codes_that_are_data(tools, tmp_path, kind, per):
    """Saturated, rounded to even; scales and zero points come in with the call. Scales of powers of two make each step exact."""
    low, high = KINDS[kind]
    random = np.random.default_rng(kind)
    shape, more = {"tensor": ((), {}), "axis": ((24,), {}), "block": (("n", 3), {"block": 8})}[per]
    proto = integers.quantized(kind, shape, zero=None if kind in (I8, I4) else True, **more)
    sizes = [9 if size == "n" else size for size in shape]
    scale = np.exp2(random.integers(-3, 3, sizes)).astype(np.float32)
    steps = random.integers(4 * (low - high), 4 * (high - low), (9, 24)) / 2  # ties among them
    wide = scale if per != "block" else np.repeat(scale, 8, axis=1)
    feeds = {"x": (steps * wide).astype(np.float32), "scale": scale}
    if kind not in (I8, I4):
        held = {I16: np.int16, U16: np.int32, onnx.TensorProto.INT2: np.int8}.get(kind, np.uint8)
        feeds["shift"] = random.integers(low, high + 1, sizes).astype(held)
    expected, found, exact = both(tools, tmp_path, proto, feeds)
    assert {low, high} <= set(np.unique(expected["codes"]).tolist())
    same(expected, found, exact)


def test_codes_of_what_is_no_number_and_what_has_no_end(tools, tmp_path):
    """Infinities saturate; what is no number becomes the lowest code."""
    onnx.save(integers.quantized(U8, zero=True), tmp_path / "model.onnx")
    tools.run("whit-compile", tmp_path / "model.onnx", "-o", tmp_path / "model.so", "--quiet")
    x = np.zeros((1, 24), np.float32)
    x[0, :3] = np.inf, -np.inf, np.nan
    found = tools.infer(tmp_path / "model.so", {"x": x, "scale": np.float32(1), "shift": np.uint8(7)})
    assert found["codes"][0, :4].tolist() == [255, 0, 0, 7]


def test_scales_that_follow_from_data(tools, tmp_path):
    random = np.random.default_rng(5)
    folder = models.Folder(tmp_path / "models")
    integers.main(folder)
    proto = onnx.load(folder.path / "dynamic.onnx")
    for x in (random.standard_normal((9, 24)), random.uniform(1, 2, (4, 24)), -random.uniform(1, 2, (4, 24)), np.zeros((2, 24))):
        expected, found, _ = both(tools, tmp_path, proto, {"x": x.astype(np.float32)})
        same(expected, found)


def test_a_model_between_codes(tools, tmp_path):
    """Activations of uint8 and weights of int8, as the quantizer of ONNX Runtime writes them; powers of two leave nothing to round but
    the codes, so they are the same however sums are made."""
    random = np.random.default_rng(6)

    def linear(name, x, k, n):
        w = random.integers(-127, 128, (k, n)).astype(np.int8)
        constants = [models.constant(f"{name}.w", w), models.constant(f"{name}.scale", np.exp2(random.integers(-8, -6, n)).astype(np.float32)),
                     models.constant(f"{name}.zero", np.zeros(n, np.int8)), models.constant(f"{name}.b", random.integers(-99, 99, n).astype(np.int32)),
                     models.constant(f"{name}.bscale", np.full(n, 0.25, np.float32)), models.constant(f"{name}.bzero", np.zeros(n, np.int32))]
        nodes = [models.node("DequantizeLinear", [f"{name}.w", f"{name}.scale", f"{name}.zero"], [f"{name}.floats"], f"/{name}/w", axis=1),
                 models.node("DequantizeLinear", [f"{name}.b", f"{name}.bscale", f"{name}.bzero"], [f"{name}.bias"], f"/{name}/b", axis=0),
                 models.node("MatMul", [x, f"{name}.floats"], [f"{name}.product"], f"/{name}/product"),
                 models.node("Add", [f"{name}.product", f"{name}.bias"], [f"{name}.sum"], f"/{name}/add")]
        return nodes, constants

    def codes(name, x, scale, zero):
        constants = [models.constant(f"{name}.scale", np.float32(scale)), models.constant(f"{name}.zero", np.uint8(zero))]
        rest = [constant.name for constant in constants]
        return [models.node("QuantizeLinear", [x, *rest], [f"{name}.codes"], f"/{name}/q"),
                models.node("DequantizeLinear", [f"{name}.codes", *rest], [name], f"/{name}/dq")], constants

    relu = [models.node("Relu", ["up.sum"], ["relu"], "/relu")], []
    parts = [codes("in", "x", 2**-5, 128), linear("up", "in", 64, 96), relu, codes("mid", "relu", 0.25, 0), linear("down", "mid", 96, 32),
             codes("out", "down.sum", 4, 100)]
    nodes, constants = ([item for part in parts for item in part[i]] for i in (0, 1))
    outputs = [models.value("mid.codes", ["n", 96], U8), models.value("out.codes", ["n", 32], U8), models.value("out", ["n", 32])]
    proto = models.model(nodes, [models.value("x", ["n", 64])], outputs, constants)
    feeds = {"x": random.uniform(-4, 4, (17, 64)).astype(np.float32)}
    expected, found, exact = both(tools, tmp_path, proto, feeds)
    assert len(np.unique(expected["mid.codes"])) > 50 and len(np.unique(expected["out.codes"])) > 50
    same(expected, found, exact)


def test_a_program_of_jax_on_integers_without_a_sign(tools, tmp_path):
    program = tmp_path / "model.mlir"
    program.write_text("""func.func public @main(%x: tensor<256xui8>, %y: tensor<256xui8>) -> (tensor<256xui8>, tensor<256xui32>, tensor<256xi1>) {
      %0 = stablehlo.divide %x, %y : tensor<256xui8>
      %1 = stablehlo.convert %x : (tensor<256xui8>) -> tensor<256xui32>
      %2 = stablehlo.compare GT, %x, %y, UNSIGNED : (tensor<256xui8>, tensor<256xui8>) -> tensor<256xi1>
      return %0, %1, %2 : tensor<256xui8>, tensor<256xui32>, tensor<256xi1>
    }
    """)
    tools.run("whit-compile", program, "-o", tmp_path / "model.so", "--quiet")
    x = np.arange(256, dtype=np.uint8)
    y = np.maximum(x[::-1], 1)
    same({"out0": x // y, "out1": x.astype(np.uint32), "out2": x > y}, tools.infer(tmp_path / "model.so", {"arg0": x, "arg1": y}))
