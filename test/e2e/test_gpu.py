# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole models on simulated GPUs. Kernels of a GPU compute what those of a CPU do, in another order of sums: against f64 their error is at
most twice that of the CPU's. Activations are f32, since a quantized one that falls to the other side of a tie is another number."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from limits import ACTIVATIONS_COSINE
from real import model_path

TARGETS = ["sm_80", "sm_90a", "gfx942"]


def error(found, exact):
    return max(float(np.abs(found[name].astype(np.float64) - exact[name]).max()) for name in exact)


def check(tools, compiled, tmp_path, model, target, feeds, *flags):
    device, _ = compiled(model, f"--target={target}", "--simulation", "--activations=f32", *flags)
    host, _ = compiled(model, "--target=x86-64", "--activations=f32", *flags)
    encoded, given, exact = tmp_path / "encoded.mlir", tmp_path / "given.npz", tmp_path / "exact.npz"
    np.savez(given, **feeds)
    tools.run("whit-compile", model, "-o", encoded, "--stop-after=encoded", "--target=x86-64", "--activations=f32", *flags)
    tools.run("whit-check", encoded, "--inputs", given, "--outputs", exact)
    with np.load(exact) as file:
        expected = {name: value for name, value in file.items() if not name.startswith("present")}
    on_host, on_device = tools.infer(host, feeds), tools.infer(device, feeds, f"--device=sim:{target}")
    assert on_device.keys() == on_host.keys() >= expected.keys()
    assert error(on_device, expected) <= 2 * error(on_host, expected)


@pytest.mark.parametrize("target", TARGETS)
def test_encoder(tools, compiled, tmp_path, target):
    """MiniLM, all of it, with 4-bit weights."""
    ids = np.array([[101, 7592, 2088, 2003, 102]])
    feeds = {"input_ids": ids, "attention_mask": np.array([[1, 1, 1, 1, 0]]), "token_type_ids": np.zeros_like(ids)}
    check(tools, compiled, tmp_path, model_path("minilm.onnx"), target, feeds, "--weights=int4_g32")


@pytest.mark.parametrize("target", TARGETS)
def test_decoder(tools, compiled, tmp_path, tiny, target):
    """Two layers with a past: queries in groups, caches, rotary embedding."""
    random = np.random.default_rng(5)
    feeds = {"input_ids": random.integers(0, 32, (2, 3)), "attention_mask": np.ones((2, 3), np.int64)}
    check(tools, compiled, tmp_path, tiny, target, feeds)


@pytest.mark.parametrize("target", TARGETS)
def test_slice_of_a_decoder(tools, compiled, tmp_path, two_layers, target):
    """The first two layers of SmolLM2 and its head."""
    feeds = {"input_ids": np.array([[504, 3575, 282]]), "attention_mask": np.ones((1, 3), np.int64), "position_ids": np.arange(3)[None]}
    check(tools, compiled, tmp_path, two_layers, target, feeds, "--weights=int4_g32")


def test_one_artifact_for_a_cpu_and_for_gpus(tools, compiled, tmp_path):
    """The weights are those of the CPU alone, and so are its results, to the bit."""
    model, weight = tmp_path / "product.onnx", np.random.default_rng(5).normal(0, 0.1, (96, 200)).astype(np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 96])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 200])], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    feeds, flags = {"x": np.random.default_rng(6).normal(0, 1, (5, 96)).astype(np.float32)}, ["--weights=int4_g32", "--activations=f32"]
    mixed, _ = compiled(model, "--target=x86-64", "--target=sm_80", "--target=sm_90a", "--simulation", *flags)
    alone, _ = compiled(model, "--target=x86-64", *flags)
    assert mixed.with_suffix(".safetensors").read_bytes() == alone.with_suffix(".safetensors").read_bytes()
    expected = tools.infer(alone, feeds)["y"]
    assert np.array_equal(tools.infer(mixed, feeds)["y"], expected)
    for target in ("sm_80", "sm_90a"):
        np.testing.assert_allclose(tools.infer(mixed, feeds, f"--device=sim:{target}")["y"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activations", ["bf16", "int8"])
def test_prompts_by_warpgroups(tools, compiled, tmp_path, activations):
    """Asked for, wgmma computes many rows; sums are formed in the order in which mma.sync and few rows have them."""
    model, weight = tmp_path / "product.onnx", np.random.default_rng(5).normal(0, 0.1, (224, 136)).astype(np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 224])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 136])], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    x, results = np.random.default_rng(6).normal(0, 1, (70, 224)).astype(np.float32), {}
    for way in ("wgmma", "mma"):
        flags = ["--target=sm_90a", "--simulation", "--weights=int4_g32", f"--activations={activations}", f"--large-m={way}"]
        found, _ = compiled(model, *flags)
        tools.run("whit-compile", model, "-o", tmp_path / "again.so", f"--explain={tmp_path / 'said'}", *flags)
        assert ("wgmma m64n64" in (tmp_path / "said").read_text()) == (way == "wgmma")
        results[way] = tools.infer(found, {"x": x}, "--device=sim:sm_90a")["y"]
        assert np.array_equal(tools.infer(found, {"x": x[23:24]}, "--device=sim:sm_90a")["y"], results[way][23:24])
    assert np.array_equal(results["wgmma"], results["mma"])


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_that_only_the_device_knows(tools, tmp_path, target):
    """The offset of a diagonal is an input, which lies in the device's memory."""
    model = tmp_path / "trilu.onnx"
    graph = helper.make_graph([helper.make_node("Trilu", ["x", "k"], ["y"], upper=0)], "part",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5]), helper.make_tensor_value_info("k", TensorProto.INT64, [])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    artifact = tmp_path / "trilu.so"
    tools.run("whit-compile", model, "-o", artifact, f"--target={target}", "--simulation")
    x = np.arange(1, 36, dtype=np.float32).reshape(7, 5)
    for k in (-2, 0, 3):
        found = tools.infer(artifact, {"x": x, "k": np.array(k)}, f"--device=sim:{target}")
        assert np.array_equal(found["y"], np.tril(x, k))


@pytest.mark.parametrize("target, weights", [("gfx942", "int4_g32"), ("gfx950", "mxfp4")])
def test_floats_of_8_bits(tools, compiled, tmp_path, target, weights):
    """MiniLM with activations of 8 bits: bytes on a GPU, bf16 on a CPU, and the same numbers but for those that fall to the other side of a
    tie, as sums before them have another order. gfx942 has such floats of another bias, gfx950 multiplies them with scales."""
    ids = np.array([[101, 7592, 2088, 2003, 102]])
    feeds = {"input_ids": ids, "attention_mask": np.array([[1, 1, 1, 1, 0]]), "token_type_ids": np.zeros_like(ids)}
    flags = [f"--weights={weights}", "--activations=fp8_token"]
    device, _ = compiled(model_path("minilm.onnx"), f"--target={target}", "--simulation", *flags)
    host, _ = compiled(model_path("minilm.onnx"), "--target=x86-64", *flags)
    on_host, on_device = tools.infer(host, feeds), tools.infer(device, feeds, f"--device=sim:{target}")
    for name, x in on_host.items():
        x, y = x.astype(np.float64).ravel(), on_device[name].astype(np.float64).ravel()
        assert 1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y) < ACTIVATIONS_COSINE["fp8_token"]


def test_a_processor_reads_floats_of_8_bits_that_a_device_wants(tools, tmp_path):
    """One artifact for both has activations as bytes; a processor has no such products and widens them."""
    random = np.random.default_rng(0)
    model, n, k = tmp_path / "product.onnx", 48, 96
    weight = numpy_helper.from_array(random.standard_normal((k, n), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "part", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", n])], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    flags = ["--weights=int4_g32", "--activations=fp8_token", "--target=x86-64-v3"]
    tools.run("whit-compile", model, "-o", tmp_path / "both.so", *flags, "--target=sm_90a")
    tools.run("whit-compile", model, "-o", tmp_path / "alone.so", *flags)
    x = random.standard_normal((5, k), np.float32)
    x[2] *= np.exp2(-random.integers(0, 20, k))  # numbers below the least normal one
    both, alone = (tools.infer(tmp_path / name, {"x": x})["y"] for name in ("both.so", "alone.so"))
    # The same numbers, multiplied exactly; K of them are added in two orders.
    magnitude = np.abs(x) @ np.abs(numpy_helper.to_array(weight)) * 1.25  # an int4 or e4m3 is at most an eighth larger
    assert np.all(np.abs(both - alone) <= k * 2.0**-24 * 2 * magnitude)
    assert not np.array_equal(both[2], np.zeros(n))
