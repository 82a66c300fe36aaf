# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The oracle: whit-check agrees with an f64 program that shares nothing with it, its bounds hold for another runtime's f32, and a
replay tells right kernels from wrong ones."""
import shutil

import numpy as np
import pytest

import float64
import reference

ORDER_OF_SUMS = 1e-11  # of the largest element: 50,000 units in the last place of f64, a thousandth of one of f32
TIGHT = 1e-3  # of the largest element: a bound that is larger than this in the first layer says nothing


def prompt(runtime, batch: int = 2, tokens: int = 7) -> dict:
    ids = np.random.default_rng(3).integers(0, 32, (batch, tokens))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def with_past(runtime, model, batch: int = 2) -> dict:
    """One more token behind a prompt's caches."""
    before = float64.run(model, {**prompt(runtime, batch), **{v.name: p for v, p in zip(runtime.past_inputs, runtime.empty_past(batch))}})
    past = {v.name: before[v.name.replace("past_key_values", "present")].astype(np.float32) for v in runtime.past_inputs}
    return {"input_ids": np.full((batch, 1), 5), "attention_mask": np.ones((batch, 8), np.int64), **past}


def interpret(tools, model, feeds: dict, folder, *flags) -> dict:
    np.savez(folder / "in.npz", **feeds)
    tools.run("whit-check", model, "--inputs", folder / "in.npz", "--outputs", folder / "ref.npz", *flags)
    with np.load(folder / "ref.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def runtime(tiny):
    pytest.importorskip("onnxruntime")
    return reference.Runtime(tiny)


@pytest.mark.parametrize("case", ["prompt", "past"])
def test_agrees_with_another_f64_program(tools, tiny, runtime, tmp_path, case):
    feeds = prompt(runtime) if case == "prompt" else with_past(runtime, tiny)
    ours = interpret(tools, tiny, feeds, tmp_path, "--bounds")
    past = dict(zip((v.name for v in runtime.past_inputs), runtime.empty_past(2)))
    theirs = float64.run(tiny, {**past, **feeds})
    logits, presents = runtime.step(feeds["input_ids"], [{**past, **feeds}[v.name] for v in runtime.past_inputs])
    rounded = {"logits": logits, **{v.name.replace("past_key_values", "present"): p for v, p in zip(runtime.past_inputs, presents)}}
    assert set(theirs) == {name for name in ours if not name.endswith(".bound")}
    for name, expected in theirs.items():
        assert ours[name].dtype == np.float64 and ours[name].shape == expected.shape
        # Both round to f64 only; what is left is the order of sums.
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=ORDER_OF_SUMS * np.abs(expected).max())
        # Worst cases multiply from layer to layer, which is why a bound belongs to one region; in the first layer it is tight.
        bound = ours[name + ".bound"]
        assert (np.abs(rounded[name] - ours[name]) <= bound).all()
        assert ".0." not in name or bound.max() <= TIGHT * np.abs(expected).max()


def test_agrees_on_rows_of_different_length(tools, tiny, runtime, tmp_path):
    feeds = {"input_ids": np.array([[3, 4, 5, 6], [7, 8, 0, 0]]), "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]])}
    ours = interpret(tools, tiny, feeds, tmp_path)["logits"]
    theirs = float64.run(tiny, {**feeds, **dict(zip((v.name for v in runtime.past_inputs), runtime.empty_past(2)))})["logits"]
    for row, tokens in ((0, 4), (1, 2)):  # what stands behind a row's end has no meaning
        np.testing.assert_allclose(ours[row, :tokens], theirs[row, :tokens], rtol=0, atol=ORDER_OF_SUMS * np.abs(theirs).max())


@pytest.mark.parametrize("stage", ["raised", "encoded", "fused"])
def test_every_stage_computes_the_same(tools, tiny, runtime, tmp_path, stage):
    """A rewrite up to `fused` may not change a value: f64 hides no rounding behind which it could."""
    for feeds in (prompt(runtime), with_past(runtime, tiny)):
        expected = interpret(tools, tiny, feeds, tmp_path)
        staged = tmp_path / "staged.mlir"
        tools.run("whit-compile", tiny, "-o", staged, f"--stop-after={stage}", "--activations=f32")
        found = interpret(tools, staged, feeds, tmp_path)
        assert set(found) == set(expected)
        for name, wanted in expected.items():
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=ORDER_OF_SUMS * np.abs(wanted).max())


@pytest.mark.parametrize("flags", [("--activations=f32",), ("--activations=int8",), ("--activations=f32", "--target=x86-64")],
                         ids=["f32", "int8", "plain"])
def test_every_region_is_within_its_bound(tools, compiled, tiny, runtime, tmp_path, flags):
    artifact = compiled(tiny, *flags)[0]
    for feeds in (prompt(runtime), with_past(runtime, tiny)):
        np.savez(tmp_path / "in.npz", **feeds)
        done = tools.run("whit-check", tiny, artifact, "--inputs", tmp_path / "in.npz", "--all")
        assert "regions within their bounds" in done.out


def test_a_wrong_weight_is_found(tools, compiled, tiny, runtime, tmp_path):
    """One scale of one group 0.1 % off: whole models do not notice, one region does, and it is named."""
    import onnx

    model = onnx.load(str(tiny))
    weights = {t.name: t for t in model.graph.initializer}
    node = [n for n in model.graph.node if n.op_type == "MatMulNBits"][2]
    scales = onnx.numpy_helper.to_array(weights[node.input[2]]).copy()
    scales.flat[3] *= 1.001
    weights[node.input[2]].CopyFrom(onnx.numpy_helper.from_array(scales, node.input[2]))
    wrong = tmp_path / tiny.name
    onnx.save(model, str(wrong))
    artifact = compiled(wrong, "--activations=f32")[0]
    np.savez(tmp_path / "in.npz", **prompt(runtime))
    done = tools.call("whit-check", tiny, artifact, "--inputs", tmp_path / "in.npz")
    assert done.code == 8, done.err
    assert node.name in done.out and "1 regions exceed their bounds" in done.err
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_says_what_is_missing(tools, tiny, tmp_path):
    np.savez(tmp_path / "in.npz", input_ids=np.zeros((1, 2), np.int64))
    done = tools.call("whit-check", tiny, "--inputs", tmp_path / "in.npz")
    assert done.code == 1 and "input 'attention_mask' is missing" in done.err
    assert tools.call("whit-check", tiny, "--inputs", tmp_path / "none.npz").code == 4
    np.savez(tmp_path / "in.npz", input_ids=np.zeros((1, 2), np.int64), mask=np.ones((1, 2), np.int64))
    done = tools.call("whit-check", tiny, "--inputs", tmp_path / "in.npz")
    assert done.code == 1 and "the model has no input 'mask'; it has input_ids, attention_mask" in done.err
    assert tools.call("whit-check", tiny, "--outputs", tmp_path / "out.npz").code == 2
    assert tools.call("whit-check").code == 2
