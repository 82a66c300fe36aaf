# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Architectures as exporters write them, small: beside f64, beside ONNX Runtime, and region by region. WHIT_LONG=1 runs them at the sizes
of the models that they are called after."""
import os

import numpy as np
import onnx
import onnxruntime
import pytest

import architectures

LONG = bool(os.environ.get("WHIT_LONG"))
REPLAYED = ("gpt2", "mobilenet_v2_qdq", "qmoe_decoder", "mamba")
INTEGERS = ("mobilenet_v2_qdq", "mobilenet_v2_qoperator")


class Case:
    def __init__(self, tools, folder, name, full):
        self.tools, self.name, self.sample = tools, name, architectures.sample(name, full)
        self.model, self.artifact, self.given = folder / f"{name}.onnx", folder / f"{name}.so", folder / "in.npz"
        onnx.save(self.sample.model, self.model)
        np.savez(self.given, **self.sample.feeds)
        session = onnxruntime.InferenceSession(str(self.model), providers=["CPUExecutionProvider"])
        self.theirs = dict(zip((o.name for o in session.get_outputs()), session.run(None, self.sample.feeds | self.sample.fixed)))
        tools.run("whit-compile", self.model, "-o", self.artifact, "--quiet", "--activations=f32", *self.sample.flags)
        self.ours = tools.infer(self.artifact, self.sample.feeds)

    def exact(self) -> dict:
        """In f64, and NAME.bound beside it: how far f32 may be off."""
        result = self.given.with_name("exact.npz")
        self.tools.run("whit-check", self.model, "--inputs", self.given, "--outputs", result, "--bounds", *self.sample.flags)
        with np.load(result) as file:
            return dict(file)


@pytest.fixture(scope="module", params=architectures.ARCHITECTURES)
def case(request, tools, tmp_path_factory):
    return Case(tools, tmp_path_factory.mktemp(request.param), request.param, LONG)


def test_outputs(case):
    assert sorted(case.ours) == sorted(case.theirs)
    for name, wanted in case.theirs.items():
        assert case.ours[name].shape == wanted.shape, name
    if case.name in INTEGERS:
        for name, wanted in case.theirs.items():
            np.testing.assert_array_equal(case.ours[name], wanted, err_msg=name)
        return
    exact = case.exact()
    for name in case.theirs:
        ours, theirs = (np.abs(found[name].astype(np.float64) - exact[name]) for found in (case.ours, case.theirs))
        print(f"{case.name} {name}: {ours.max():.2e}, ONNX Runtime {theirs.max():.2e}, bound {exact[name + '.bound'].max():.2e}, "
              f"values to {np.abs(exact[name]).max():.2f}")
        assert (ours <= exact[name + ".bound"]).all(), name
        assert (theirs <= exact[name + ".bound"]).all(), name
        assert ours.max() <= 2 * theirs.max() + np.spacing(np.float32(np.abs(exact[name]).max())), name


@pytest.mark.skipif(LONG, reason="regions are replayed at small sizes")
def test_every_region_is_within_its_bound(case):
    if case.name not in REPLAYED:
        pytest.skip("has no kind of region that others have not")
    case.tools.run("whit-check", case.model, case.artifact, "--inputs", case.given)


def test_quantized_convolutions_are_of_integers(tools, tmp_path):
    """What a QDQ model computes with floats is one number at a time: it multiplies no floats and sums them up."""
    for name in INTEGERS:
        onnx.save(architectures.sample(name).model, tmp_path / "model.onnx")
        tools.run("whit-compile", tmp_path / "model.onnx", "--stop-after=fused", "-o", tmp_path / "fused.mlir", "--quiet")
        text = (tmp_path / "fused.mlir").read_text()
        assert " whit.matmul " not in text and text.count(" whit.quantized_matmul ") >= 8, name
        bodies = [op.split("linalg.yield")[0] for op in text.split("linalg.generic")[1:]]
        sums = [body for body in bodies if '"reduction"' in body]
        assert len(sums) > 8 and not [body for body in sums if "arith.mulf" in body or "math.fma" in body], name
