# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights that DequantizeLinear makes of constant codes stay in their few bits, and give what ONNX Runtime computes of them."""
import json
import sys

import numpy as np
import onnx
import pytest

from real import ROOT

sys.path.insert(0, str(ROOT / "test/lib/Import/ONNX"))
import models  # noqa: E402

TIGHT = 1e-4  # of the largest element: a bound that is larger than this for one product of these depths says nothing
BLOCKS = {"bits": 4, "per": "block"}
CASES = {
    "int8 per tensor": {},
    "int8 per tensor, shifted": {"zeros": 5},
    "uint8 per tensor": {"signed": False, "zeros": 113},
    "int8 per channel": {"per": "channel"},
    "int8 per channel, zero points": {"per": "channel", "zeros": "random"},
    "int8 per channel, zero points of 0": {"per": "channel", "zeros": 0, "n": 96},
    "int8 per channel, Gemm of rows": {"per": "channel", "rows": True, "use": "Gemm"},
    "int8 per tensor, Gemm of rows": {"rows": True, "use": "Gemm"},
    "int8 per channel, transposed": {"per": "channel", "rows": True, "use": "Transpose"},
    "int8 per channel, table": {"per": "channel", "rows": True, "use": "Gather"},
    "int4 blocks": BLOCKS,
    "int4 blocks, zero points": {**BLOCKS, "zeros": "random"},
    "uint4 blocks": {**BLOCKS, "signed": False},
    "uint4 blocks, zero points": {**BLOCKS, "signed": False, "zeros": "random"},
    "uint4 blocks, the last one cut": {**BLOCKS, "signed": False, "zeros": "random", "k": 80, "n": 35},
    "int4 blocks, table": {**BLOCKS, "rows": True, "use": "Gather"},
    "int4 blocks of 128, Gemm of rows": {**BLOCKS, "rows": True, "use": "Gemm", "k": 256, "block": 128},
    "int8 blocks": {"per": "block", "zeros": "random"},
    "int4 blocks, added": {**BLOCKS, "zeros": "random", "k": 300, "n": 500, "use": "Add"},
    "int8 per channel, added": {"per": "channel", "k": 500, "n": 300, "rows": True, "use": "Add"},
    "large": {**BLOCKS, "k": 512, "n": 300},
}


@pytest.mark.parametrize("activations", ("QInt8", "QUInt8"))
def test_a_model_that_onnx_runtime_quantized(tools, tmp_path, activations):
    """Embedding, product and Gemm, whose zero points, biases and scales lie wherever its quantizer puts them."""
    runtime = pytest.importorskip("onnxruntime")
    from onnxruntime import quantization

    random = np.random.default_rng(4)
    weights = [models.constant(name, random.standard_normal(shape).astype(np.float32)) for name, shape in
               (("table", (50, 64)), ("w", (64, 96)), ("turned", (32, 96)), ("bias", (32,)))]
    nodes = [models.node("Gather", ["table", "ids"], ["e"], "/embed"), models.node("MatMul", ["e", "w"], ["h"], "/up"),
             models.node("Gemm", ["h", "turned", "bias"], ["y"], "/down", transB=1)]
    onnx.save(models.model(nodes, [models.value("ids", ["n"], models.I64)], [models.value("y", ["n", 32])], weights), tmp_path / "float.onnx")

    class Feeds(quantization.CalibrationDataReader):
        left = [{"ids": random.integers(0, 50, 20)} for _ in range(3)]

        def get_next(self):
            return self.left.pop() if self.left else None

    quantization.quantize_static(tmp_path / "float.onnx", tmp_path / "model.onnx", Feeds(), per_channel=True,
                                 activation_type=quantization.QuantType[activations])
    plain = runtime.SessionOptions()
    plain.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    feeds = {"ids": np.arange(20)}
    (expected,) = runtime.InferenceSession(str(tmp_path / "model.onnx"), plain).run(None, feeds)
    report = tmp_path / "report.json"
    tools.run("whit-compile", tmp_path / "model.onnx", "-o", tmp_path / "model.so", "--activations=f32", f"--report={report}", "--quiet")
    found = {w["name"]: w["before"] for w in json.loads(report.read_text())["weights"] if "quantized" in w["name"]}
    # Between QuantizeLinear and DequantizeLinear codes are multiplied as they are; scales of channels belong to the rounding of the products.
    assert found["table_quantized"].startswith("uint8_tensor") and found["w_quantized"] == found["turned_quantized"] == "int8_tensor_f32"
    # The result is rounded to codes; a sum in another order may meet the next one.
    step = np.diff(np.unique(expected)).min()
    error = np.abs(tools.infer(tmp_path / "model.so", feeds)["y"] - expected)
    assert error.max() <= 1.01 * step and (error > 0.01 * step).mean() < 0.02
    np.savez(tmp_path / "in.npz", **feeds)
    done = tools.run("whit-check", tmp_path / "model.onnx", tmp_path / "model.so", "--inputs", tmp_path / "in.npz")
    assert "within their bounds" in done.out


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_codes_stay_codes(tools, tmp_path, options):
    runtime = pytest.importorskip("onnxruntime")
    proto = models.qdq(**options)
    onnx.save(proto, tmp_path / "model.onnx")
    k, n = options.get("k", 64), options.get("n", 24)
    random = np.random.default_rng(1)
    is_table = options.get("use") == "Gather"
    width = 1 if options.get("use") == "Add" else k
    feeds = {"x": random.integers(0, n, 9) if is_table else random.standard_normal((9, width)).astype(np.float32)}
    if width == 1:
        feeds["x"] = feeds["x"][:1]
    plain = runtime.SessionOptions()  # optimized, it would quantize x as well
    plain.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), plain, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)

    report = tmp_path / "report.json"
    tools.run("whit-compile", tmp_path / "model.onnx", "-o", tmp_path / "model.so", "--activations=f32", f"--report={report}", "--quiet")
    (weight,) = json.loads(report.read_text())["weights"]
    bits = options.get("bits", 8)
    # Panels are of 16 rows, and each group carries one scale and perhaps one zero point.
    groups = -(-k // options.get("block", 32)) if options.get("per") == "block" else 1
    block = options.get("block", 32) if options.get("per") == "block" else k
    assert weight["bytes_after"] <= -(-n // 16) * 16 * groups * (block * bits // 8 + 5)
    found = tools.infer(tmp_path / "model.so", feeds)["y"]

    np.savez(tmp_path / "in.npz", **feeds)
    tools.run("whit-check", tmp_path / "model.onnx", "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "exact.npz", "--bounds")
    with np.load(tmp_path / "exact.npz") as file:
        exact, bound = file["y"], file["y.bound"]
    assert (np.abs(expected - exact) <= bound).all() and (np.abs(found - exact) <= bound).all()
    assert (bound <= TIGHT * np.abs(exact).max()).all()
    done = tools.run("whit-check", tmp_path / "model.onnx", tmp_path / "model.so", "--inputs", tmp_path / "in.npz")
    assert "within their bounds" in done.out
