# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models in every kind of number format: codecs, zeros and scales of a kind each; WHIT_LONG=1 runs all rows of the table.

A kernel that decodes wrongly makes an embedding that has nothing to do with the signal to noise of its weights; a kernel that is only
slightly wrong is what whit-check is for.
"""
import json
import os
import sys
import time

import numpy as np
import pytest

import reference
from ledger import record
from limits import ACTIVATIONS_KL, LANGUAGE_GAIN, NOISE_GAIN, ROUNDED_ACTIVATIONS
from real import ROOT, model_path, need_build
from test_float_decoder import feeds_of
from test_language_model import log_softmax
from test_quantized_weights import embed, feeds

sys.path.insert(0, str(ROOT / "benchmarks"))

# A row for each kind of codec, of zero and of scale.
ROWS = ("int3_g32", "uint5_g32", "uint4_g32_float", "uint2_g32_min", "mxfp4", "nvfp4", "fp6_e3m2_channel", "nf4", "bitmod3", "ternary_g32",
        "ptqtp", "q4_k", "sp24_int4_g32")
CHECKED = ("nf4", "nvfp4", "ptqtp")
LANGUAGE_ROWS = ("nf4",)
LONG_LANGUAGE_ROWS = ("int4_g32", "uint4_g32_min", "mxfp4", "nvfp4", "nf4", "bitmod4", "hlq4",
                      "sp24_int8_g32", "nested8to4_g32", "ptqtp2_g128_trit5", "fairy2")
LONG = "WHIT_LONG" in os.environ


@pytest.fixture(scope="module")
def minilm():
    return model_path("minilm.onnx")


def chosen():
    import formats

    return [row.name for row in formats.all_rows() if row.kind != "plain"] if LONG else ROWS


def report_of(tools, model, artifact, name):
    path = artifact.with_suffix(".report.json")
    tools.run("whit-compile", model, "-o", artifact, "--quiet", f"--report={path}", f"--weights={name}", "--quantizer=nearest")
    return json.loads(path.read_text())["weights_total"]


@pytest.fixture(scope="module")
def quantized(tools, minilm, tmp_path_factory):
    """quantized(format) -> (artifact, totals of its report); what whit-check reads too is kept."""
    folder, known = tmp_path_factory.mktemp("formats"), {}

    def compile_once(name):
        if name in known:
            return known[name]
        artifact = folder / (f"{name}.so" if name in CHECKED else "other.so")
        result = artifact, report_of(tools, minilm, artifact, name)
        if name in CHECKED:
            known[name] = result
        return result

    return compile_once


def test_an_encoder_in_every_kind_of_format(tools, minilm, compiled, quantized):
    """The embedding is as far from that of f32 as the noise of the weights explains."""
    exact, wrong, start, names = embed(tools, compiled(minilm)[0]), [], time.monotonic(), chosen()
    for name in names:
        artifact, total = quantized(name)
        found = embed(tools, artifact)
        cosine = (exact * found).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
        noise = 10 ** (-total["snr_db"] / 10)
        print(f"{name}: {total['bits_per_weight']:.2f} bits, {total['snr_db']:.1f} dB, cosine {cosine.mean():.5f}")
        if not (total["quantized"] == total["matrices"] and 1 - cosine.mean() <= NOISE_GAIN * noise + ROUNDED_ACTIVATIONS):
            wrong.append((name, total["snr_db"], cosine.mean()))
    if LONG:
        record("MiniLM in every format", time.monotonic() - start, f"{len(names)} formats, as far from f32 as their noise explains", len(wrong))
    assert not wrong


@pytest.mark.parametrize("name", CHECKED)
def test_every_region_is_within_its_bound(tools, minilm, quantized, tmp_path, name):
    np.savez(tmp_path / "in.npz", **feeds())
    assert "regions within their bounds" in tools.run("whit-check", minilm, quantized(name)[0], "--inputs", tmp_path / "in.npz").out


def test_formats_are_in_the_order_that_their_papers_say(minilm):
    """At equal group and type of scale, by the signal to noise of each layer; embedding tables are no layers."""
    onnx = pytest.importorskip("onnx")
    need_build()
    from whit import Format

    layers = {}
    for tensor in onnx.load(str(minilm)).graph.initializer:
        if len(tensor.dims) == 2 and min(tensor.dims) >= 384 and "embedding" not in tensor.name:
            layers[tensor.name] = np.ascontiguousarray(onnx.numpy_helper.to_array(tensor).T)
    assert len(layers) >= 36

    def snr(name, quantizer):
        found, format = {}, Format(name)
        for layer, weights in layers.items():
            error = format.quantize(weights, quantizer).dequantize() - weights
            found[layer] = 10 * np.log10((weights.astype(np.float64) ** 2).sum() / (error.astype(np.float64) ** 2).sum())
        print(f"{name}, {quantizer}: {np.mean(list(found.values())):.2f} dB")
        return found

    nearest, squares = snr("int4_g32", "nearest"), snr("int4_g32", "least-squares")
    for better, worse in ((squares, nearest), (snr("nf4_g32", "least-squares"), nearest), (squares, snr("int4_g128", "least-squares")),
                          (snr("nvfp4", "nearest"), snr("mxfp4", "nearest"))):
        assert all(better[layer] > worse[layer] for layer in worse)


@pytest.mark.parametrize("name", LONG_LANGUAGE_ROWS if LONG else LANGUAGE_ROWS)
def test_a_language_model_in_a_format(tools, optimum_fp32, tokens, tmp_path, name):
    """The distribution of the next token is as far from that of f32 as the noise of the weights explains."""
    runtime = reference.Runtime(optimum_fp32)
    ids = np.array([tokens.encode((reference.HERE / "english.txt").read_text(encoding="utf-8"))[:128]], np.int64)
    expected = log_softmax(runtime.step(ids, runtime.empty_past())[0][0])
    total = report_of(tools, optimum_fp32, tmp_path / "model.so", name)
    found = log_softmax(tools.infer(tmp_path / "model.so", feeds_of(runtime, ids, runtime.empty_past()))["logits"][0])
    divergence, noise = (np.exp(expected) * (expected - found)).sum(-1).mean(), 10 ** (-total["snr_db"] / 10)
    print(f"{name}: {total['snr_db']:.1f} dB, mean KL {divergence:.4f}, {divergence / noise:.1f} times the noise")
    assert total["quantized"] == total["matrices"] and divergence <= LANGUAGE_GAIN * noise + ACTIVATIONS_KL["int8"]
