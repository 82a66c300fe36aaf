# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Inputs and outputs of a StableHLO program go by their place, arg0 and out0, and by what the program calls them."""
import numpy as np
import pytest

PROGRAM = """
func.func public @main(%arg0: tensor<4xf32> loc("a['x']"), %arg1: tensor<4xf32> loc("b")) -> (tensor<4xf32> {jax.result_info = "result['y']"}) {
  %0 = stablehlo.subtract %arg0, %arg1 : tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""
A, B = np.arange(4, dtype=np.float32), np.full(4, 2, np.float32)


@pytest.fixture(scope="module")
def artifact(tools, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aliases")
    (folder / "m.mlir").write_text(PROGRAM)
    tools.run("whit-compile", folder / "m.mlir", "-o", folder / "m.so")
    return folder / "m.so"


@pytest.mark.parametrize("names", [("arg0", "arg1"), ("a['x']", "b"), ("arg0", "b")])
def test_inputs(tools, artifact, names):
    found = tools.infer(artifact, dict(zip(names, (A, B))))
    assert list(found) == ["out0"]
    np.testing.assert_array_equal(found["out0"], A - B)


@pytest.mark.parametrize("name", ["out0", "result['y']"])
def test_expected_output(tools, artifact, tmp_path, name):
    np.savez(tmp_path / "in.npz", **{"a['x']": A, "b": B})
    for shift, code in ((0, 0), (1, 8)):
        np.savez(tmp_path / "out.npz", **{name: A - B + shift})
        assert tools.call("whit-run", artifact, f"--inputs={tmp_path / 'in.npz'}", f"--expect={tmp_path / 'out.npz'}").code == code


def test_made_up_input(tools, artifact, tmp_path):
    np.savez(tmp_path / "ones.npz", out0=np.ones(4, np.float32))
    tools.run("whit-run", artifact, "--input=a['x']=ones", "--input=b=zeros", f"--expect={tmp_path / 'ones.npz'}")


def test_inspected(tools, artifact):
    shown = tools.run("whit-run", artifact, "--inspect").out
    for line in ("arg0 (a['x'])  f32 [4]", "arg1 (b)  f32 [4]", "out0 (result['y'])  f32 [4]"):
        assert line in shown


def test_twice(tools, artifact, tmp_path):
    np.savez(tmp_path / "in.npz", **{"arg0": A, "a['x']": A, "b": B})
    done = tools.call("whit-run", artifact, f"--inputs={tmp_path / 'in.npz'}")
    assert done.code == 1 and "given twice" in done.err
