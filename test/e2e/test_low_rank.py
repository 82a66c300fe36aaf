# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Corrections of low rank on layers of MiniLM: what they leave is what numpy's singular values say, and the code computes it."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from real import model_path
from safetensors.numpy import load_file

LAYER = "encoder.layer.{}.{}.dense.weight"
RANKS = (0, 1, 16)


@pytest.fixture(scope="module")
def layers():
    tensors = load_file(model_path("minilm.safetensors"))
    return {"up": tensors[LAYER.format(1, "intermediate")], "down": tensors[LAYER.format(4, "output")]}


@pytest.fixture(scope="module")
def model(layers, tmp_path_factory):
    """y = tanh(x up' + bias) down'"""
    nodes = [
        helper.make_node("MatMul", ["x", "up"], ["u"], name="/up"),
        helper.make_node("Add", ["u", "bias"], ["v"], name="/add"),
        helper.make_node("Tanh", ["v"], ["t"], name="/tanh"),
        helper.make_node("MatMul", ["t", "down"], ["y"], name="/down"),
    ]
    held = [numpy_helper.from_array(np.ascontiguousarray(w.T), name) for name, w in layers.items()]
    held.append(numpy_helper.from_array(np.linspace(-1, 1, 1536, dtype=np.float32), "bias"))
    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "rows", 384]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", rows[:1], rows[1:], held)
    path = tmp_path_factory.mktemp("low_rank") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))
    return path


def lost(weight):
    """weight - decode(encode(weight)) as int4_g32, nearest: the element of largest magnitude of each group becomes -8."""
    groups = weight.reshape(-1, 32)
    extreme = np.take_along_axis(groups, np.abs(groups).argmax(1)[:, None], 1)
    scale = (extreme / np.float32(-8)).astype(np.float16).astype(np.float32)
    codes = np.clip(np.rint(groups / scale), -8, 7)
    return (groups - codes * scale).reshape(weight.shape).astype(np.float64)


def test_snr_rises_with_the_rank_as_the_singular_values_say(tools, model, layers, tmp_path):
    random = np.random.default_rng(5)
    np.savez(tmp_path / "in.npz", x=random.normal(0, 0.5, (2, 5, 384)).astype(np.float32))
    last, squares = {}, {name: np.linalg.svd(lost(weight), compute_uv=False) ** 2 for name, weight in layers.items()}
    for rank in RANKS:
        flag = "--weights=int4_g32" + (f"+lowrank{rank}" if rank else "")
        artifact, report = tmp_path / f"{rank}.so", tmp_path / f"{rank}.json"
        tools.run("whit-compile", model, "-o", artifact, flag, "--quantizer=nearest", f"--report={report}", "--quiet")
        found = {w["name"]: w for w in json.loads(report.read_text())["weights"]}
        assert set(found) >= {"up", "down"} and not any("low_rank" in name for name in found)
        for name, weight in layers.items():
            row, (n, k) = found[name], weight.shape
            best = 10 * np.log10(np.square(weight, dtype=np.float64).sum() / squares[name][rank:].sum())
            # What bf16 rounds off the factors is 2^-16 of what they say; the rest of the hundredth is the iteration's.
            assert best - 0.02 < row["snr_db"] < best + 0.001, (name, rank, best)
            assert row["snr_db"] > last.get(name, 0)
            last[name] = row["snr_db"]
            assert row.get("rank", 0) == rank
            # Panels of 16 columns and pairs along K are filled up.
            padded, even = -(-rank // 16) * 16, rank + rank % 2
            assert row["bits_per_weight"] == pytest.approx(4.5 + 16 * (even / k + padded / n), rel=1e-6)
        done = tools.run("whit-check", model, artifact, "--inputs", tmp_path / "in.npz")
        assert "regions within their bounds" in done.out


def test_the_branch_is_part_of_the_kernel_behind_the_matmul(tools, model, tmp_path):
    """Two products and everything on elements behind them: one region."""
    text = tmp_path / "fused.mlir"
    flags = ["--weights=int4_g32+lowrank8", "--activations=f32", "--stop-after=fused", "--quiet"]
    tools.run("whit-compile", model, "-o", text, *flags)
    regions = text.read_text().split("whit.region")[1:]
    up = [r for r in regions if "math.tanh" in r]
    assert len(up) == 1 and up[0].count("whit.matmul ") == 2 and len(regions) == 4


def test_a_rank_that_cannot_be_is_refused(tools, model, tmp_path):
    for flag, why in (("int4_g32+lowrank0", "rank '0'; it must be from 1 to 128"), ("int4_g32 + lowrankX", "rank 'X'"),
                      ("int44+lowrank4", "format 'int44' is not known")):
        done = tools.call("whit-compile", model, "-o", tmp_path / "m.so", f"--weights={flag}")
        assert done.code == 2 and why in done.err, done.err
