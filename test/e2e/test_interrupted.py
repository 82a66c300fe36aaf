# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Killing the compiler: whenever it happens, each output file is the old one or the new one, nothing else is left, and files of two
artifacts do not run together."""
import random
import subprocess
import time

from real import BUILD
from test_broken_kinds import product, weight


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_killed_at_any_moment(tools, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    # Small, so that much of the time is spent with the files.
    model = tmp_path / "m.onnx"
    model.write_bytes(product(weight(shape=(4, 1 << 18))).SerializeToString())
    commands = [[str(BUILD / "bin/whit-compile"), str(model), "-o", str(out / "m.so"), f"--weights={format}"] for format in ("f32", "f16")]
    whole, seconds = [], 0.0
    for command in commands:
        start = time.monotonic()
        subprocess.run(command, env=tools.environment, check=True, capture_output=True)
        seconds = max(seconds, time.monotonic() - start)
        whole.append(contents(out))
    assert whole[0]["m.so"] != whole[1]["m.so"]
    known = {name: {version[name] for version in whole} for name in whole[0]}
    choose, killed, attempt = random.Random(20), 0, 0
    while attempt < 30 or killed < 10:
        attempt += 1
        assert attempt < 200, "the compiler always ends before it can be killed"
        # Half of the kills aim at the end, where the files are put into place.
        moment = seconds * (choose.uniform(0, 1) if attempt % 2 else choose.uniform(0.8, 1.02))
        process = subprocess.Popen(commands[attempt % 2], env=tools.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.kill()
        killed += process.wait() < 0
        found = contents(out)
        assert found.keys() == known.keys(), f"after {moment:.3f} s"
        for name, data in found.items():
            assert data in known[name], f"{name} is neither the old nor the new one after {moment:.3f} s"
    # Between two renames it may be one file of each: code never runs with the weights of another artifact.
    for code, weights in (whole, whole[::-1]):
        (out / "m.so").write_bytes(code["m.so"])
        (out / "m.safetensors").write_bytes(weights["m.safetensors"])
        done = tools.call("whit-run", out / "m.so")
        assert done.code == 6 and "m.safetensors" in done.err, f"exit {done.code}\n{done.err}"
