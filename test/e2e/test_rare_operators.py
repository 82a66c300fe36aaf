# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators that loop, sample, fold and transform, with sizes that are only known at the call: the compiled models and the interpreter
beside the ONNX evaluator."""
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/lib/Import/ONNX"))
import models  # noqa: E402
import rare_operators  # noqa: E402

SIZES = {"n": 3, "s": 5, "t": 6, "m": 2}
# Not here: what the evaluator does not do (lengths of sequences, STFT of constants) and MaxUnpool, whose indices come from MaxPool.
NAMES = ("scan loop rnn lstm linear causal swiglu tokens grid affine roi deform fold up crop qmatmul conv_integer dft einsum trace det adam"
         " window flex mod grams features binarizer").split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = models.Folder(tmp_path_factory.mktemp("rare"))
    rare_operators.main(place)
    return place.path


def feed(name, kind, shape, random):
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    if np.issubdtype(dtype, np.integer):
        return random.integers(0, 2, shape).astype(dtype)
    return (random.uniform(-1, 1, shape) if name != "h" else random.uniform(0, 1, shape)).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_operator(tools, folder, tmp_path, name):
    proto, random = onnx.load(folder / f"{name}.onnx"), np.random.default_rng(len(name))
    feeds = {}
    for value in proto.graph.input:
        tensor = value.type.tensor_type
        shape = [dim.dim_value or SIZES[dim.dim_param] for dim in tensor.shape.dim]
        feeds[value.name] = feed(value.name, tensor.elem_type, shape, random)
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, 1) for domain in ("ai.onnx.preview", "ai.onnx.preview.training", "ai.onnx.ml"))
    expected = ReferenceEvaluator(proto).run(None, feeds)
    tools.run("whit-compile", folder / f"{name}.onnx", "-o", tmp_path / "model.so", "--quiet")
    found = tools.infer(tmp_path / "model.so", feeds)
    for output, wanted in zip(proto.graph.output, expected):
        assert np.allclose(found[output.name], wanted, rtol=1e-4, atol=1e-5), output.name
    np.savez(tmp_path / "in.npz", **feeds)
    done = tools.run("whit-check", folder / f"{name}.onnx", tmp_path / "model.so", "--inputs", tmp_path / "in.npz")
    assert "within their bounds" in done.out


def test_exponentials_and_logarithms_of_f64(tools, tmp_path):
    """All exponents of f64, numbers without full precision among them, and what is no number."""
    kind, info = onnx.TensorProto.DOUBLE, onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node(op, [name], [op]) for op, name in (("Exp", "x"), ("Log", "y"))]
    graph = onnx.helper.make_graph(nodes, "g", [info(name, kind, ["n"]) for name in "xy"], [info(op, kind, ["n"]) for op in ("Exp", "Log")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)]), tmp_path / "model.onnx")
    tools.run("whit-compile", tmp_path / "model.onnx", "-o", tmp_path / "model.so", "--quiet")
    random = np.random.default_rng(11)
    ends = [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 709.78, 709.79, -744.4, -745.2, 1e-300, -1e-17]
    x = np.concatenate([random.uniform(-746, 710, 4000), random.standard_normal(4000), ends])
    y = np.concatenate([np.ldexp(random.uniform(0.5, 1, 4000), random.integers(-1073, 1025, 4000)), random.uniform(0.5, 2, 4000), ends])
    found = tools.infer(tmp_path / "model.so", {"x": x, "y": y})
    with np.errstate(all="ignore"):
        wanted = {"Exp": np.exp(x), "Log": np.log(y)}
    for name, values in wanted.items():
        assert np.array_equal(np.isnan(found[name]), np.isnan(values)) and np.array_equal(np.isinf(found[name]), np.isinf(values)), name
        finite = np.isfinite(values)
        steps = np.abs(found[name][finite] - values[finite]) / np.spacing(np.abs(values[finite]))
        assert steps.max() <= 4, (name, steps.max())
