# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What whit-run does on a device beside computing: decode steps as graphs, and times by the device's clock."""
import json


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
