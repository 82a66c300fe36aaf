# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What whit-run does on a device beside computing: decode steps as graphs, and times by the device's clock."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper


def test_decode_steps_are_graphs(tools, compiled, tiny):
    """The same tokens as on the CPU, though from the third token on only the arguments that differ go to the device."""
    device, _ = compiled(tiny, "--target=sm_80", "--simulation", "--activations=f32")
    host, _ = compiled(tiny, "--target=x86-64", "--activations=f32")
    found = tools.generate(device, [1, 2, 3], 10, "--device=sim:sm_80")
    assert found["tokens"] == tools.generate(host, [1, 2, 3], 10)["tokens"]
    assert found["graph"] is True
    assert found["kernels"] > 10 and "note" not in found
    once = tools.generate(device, [1, 2, 3], 1, "--device=sim:sm_80")
    assert once["graph"] is False, "a list of launches that comes once is not worth a graph"


@pytest.mark.parametrize("target", ["sm_80", "gfx942"])
def test_tokens_chosen_on_a_device(tools, compiled, tiny, target):
    """The same tokens as those that a CPU's host code and a CPU's kernels choose."""
    flags = ["--activations=f32"]
    device, _ = compiled(tiny, f"--target={target}", "--simulation", "--choose-tokens", *flags)
    kernels, host = (compiled(tiny, "--target=x86-64", *more, *flags)[0] for more in (["--choose-tokens"], []))
    expected = tools.generate(host, [1, 2, 3], 8)["tokens"]
    assert tools.generate(kernels, [1, 2, 3], 8)["tokens"] == expected
    assert tools.generate(device, [1, 2, 3], 8, f"--device=sim:{target}")["tokens"] == expected


@pytest.mark.parametrize("target", ["x86-64", "sm_80", "gfx942"])
def test_which_token_is_chosen(tools, tmp_path, target):
    """The first of equals, by value and not by bits; none where a logit is NaN. 2051 logits are one for each thread of the first step, and 3."""
    random, size = np.random.default_rng(3), 2051
    logits = random.normal(0, 1, (1, 8, size)).astype(np.float32)
    rows = logits[0]
    rows[0, [5, 2049]] = 9
    rows[1] = -1 - np.abs(rows[1])
    rows[2], rows[2, 0] = 0, -0.0
    rows[3] = -np.inf
    rows[4, 2050] = np.inf
    rows[5, 77] = np.nan
    rows[6, [3, 1000]] = [49, 50]
    rows[7, 2048:] = np.nan
    model = tmp_path / "head.onnx"
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["logits"])], "head",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "sequence", size])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", size])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    flags = [] if target == "x86-64" else ["--simulation"]
    tools.run("whit-compile", model, "-o", tmp_path / "head.so", f"--target={target}", "--choose-tokens", *flags)
    found = tools.infer(tmp_path / "head.so", {"x": -logits}, *([f"--device=sim:{target}"] if flags else []))
    expected = np.where(np.isnan(rows).any(axis=1), -1, rows.argmax(axis=1))
    assert np.array_equal(expected, [5, rows[1].argmax(), 0, 0, 2050, -1, 1000, -1])
    assert np.array_equal(found["whit.next_tokens"], [expected])


def test_tokens_are_chosen_from_logits(tools, tmp_path):
    model = tmp_path / "head.onnx"
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "head", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    done = tools.call("whit-compile", model, "-o", tmp_path / "head.so", "--target=x86-64", "--choose-tokens")
    assert done.code == 3 and "compile without --choose-tokens" in done.err


def test_times_of_a_device(tools, compiled, tiny):
    """The simulator has no clock, and says so; kernels are queued as often as asked for."""
    device, _ = compiled(tiny, "--target=sm_80", "--simulation", "--activations=f32")
    flags = [device, "--device=sim:sm_80", "--benchmark=1", "--repeat=3", "--dim=sequence_length=1", "--dim=batch_size=1"]
    found = json.loads(tools.run("whit-run", *flags, "--json").out)
    assert (found["device_name"], found["device_repeat"], found["device_copies"]) == ("simulated sm_80", 3, 1)
    assert found["device_us_min"] is None and found["ms_min"] > 0
    assert "has no clock" in tools.run("whit-run", *flags).out
    rotated = json.loads(tools.run("whit-run", *flags, "--rotate=1", "--json").out)
    assert rotated["device_copies"] > 1
    assert rotated["device_repeat"] >= 3 and rotated["device_repeat"] % rotated["device_copies"] == 0
