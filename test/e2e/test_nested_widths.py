# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One file of weights read at eight, four and two bits: the code of an artifact says how much of each code it looks at."""
import shutil

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
N, K = 40, 100
WIDTHS = {8: "nested8_g32", 4: "nested8to4_g32", 2: "nested8to2_g32"}


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(11).normal(0, 0.05, (K, N)).astype(np.float32)


@pytest.fixture(scope="module")
def model(weights, tmp_path_factory):
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, ["rows", K])], [value("y", 1, ["rows", N])],
                                   [onnx.numpy_helper.from_array(weights, "w")])
    path = tmp_path_factory.mktemp("nested") / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.mark.parametrize("activations", ["int8", "f32"])
def test_three_codes_run_over_one_file_of_weights(tools, model, weights, tmp_path, activations):
    x = np.random.default_rng(12).normal(0, 1, (3, K)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    artifacts = {}
    for width, name in WIDTHS.items():
        artifacts[width] = tmp_path / f"w{width}.so"
        tools.run("whit-compile", model, "-o", artifacts[width], "--quiet", f"--weights={name}", f"--activations={activations}",
                  "--quantizer=nearest")
    files = {width: artifact.with_suffix(".safetensors") for width, artifact in artifacts.items()}
    assert files[8].read_bytes() == files[4].read_bytes() == files[2].read_bytes()
    exact, errors = x.astype(np.float64) @ weights, []
    for width in (4, 2):
        files[width].unlink()
        shutil.copy(files[8], files[width])
    for width, artifact in artifacts.items():
        done = tools.run("whit-check", model, artifact, "--inputs", tmp_path / "in.npz")
        assert "regions within their bounds" in done.out
        errors.append(np.square(tools.infer(artifact, {"x": x})["y"] - exact).mean() / np.square(exact).mean())
    # A bit less doubles the distance of numbers, which makes the squared error four times as large; at two bits a quarter is the least
    # that is not noise.
    assert 4**2 * errors[0] < errors[1] and 4 * errors[1] < errors[2] < 0.25, errors
