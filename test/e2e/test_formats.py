# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models in every kind of format of integers: a row for each kind of zero; WHIT_LONG=1 runs all rows of the table that are integers.

A kernel that decodes wrongly makes an embedding that has nothing to do with the signal to noise of its weights; a kernel that is only
slightly wrong is what whit-check is for.
"""
import json
import os
import re
import sys

import numpy as np
import pytest

from limits import NOISE_GAIN, ROUNDED_ACTIVATIONS
from real import ROOT, model_path
from test_quantized_weights import embed, feeds

sys.path.insert(0, str(ROOT / "benchmarks"))

# A row for each kind of zero.
ROWS = ("int3_g32", "uint5_g32", "uint4_g32_float", "uint2_g32_min")
CHECKED = ("uint5_g32",)
LONG = "WHIT_LONG" in os.environ


@pytest.fixture(scope="module")
def minilm():
    return model_path("minilm.onnx")


def chosen():
    import formats

    return [row.name for row in formats.all_rows() if re.match("u?int", row.name)] if LONG else ROWS


def report_of(tools, model, folder, *flags):
    path = folder / "report.json"
    tools.run("whit-compile", model, "-o", folder / "model.so", "--quiet", f"--report={path}", *flags)
    return json.loads(path.read_text())


def test_an_encoder_in_every_kind_of_format(tools, minilm, compiled, tmp_path):
    """The embedding is as far from that of f32 as the noise of the weights explains."""
    exact, wrong = embed(tools, compiled(minilm)[0]), []
    for name in chosen():
        total = report_of(tools, minilm, tmp_path, f"--weights={name}", "--quantizer=nearest")["weights_total"]
        found = embed(tools, tmp_path / "model.so")
        cosine = (exact * found).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
        noise = 10 ** (-total["snr_db"] / 10)
        print(f"{name}: {total['bits_per_weight']:.2f} bits, {total['snr_db']:.1f} dB, cosine {cosine.mean():.5f}")
        if not (total["quantized"] == total["matrices"] and 1 - cosine.mean() <= NOISE_GAIN * noise + ROUNDED_ACTIVATIONS):
            wrong.append((name, total["snr_db"], cosine.mean()))
    assert not wrong


@pytest.mark.parametrize("name", CHECKED)
def test_every_region_is_within_its_bound(tools, minilm, compiled, tmp_path, name):
    artifact, _ = compiled(minilm, f"--weights={name}", "--quantizer=nearest")
    np.savez(tmp_path / "in.npz", **feeds())
    assert "regions within their bounds" in tools.run("whit-check", minilm, artifact, "--inputs", tmp_path / "in.npz").out


def test_formats_are_in_the_order_that_their_papers_say(tools, minilm, tmp_path):
    """At equal group and type of scale, by the signal to noise of each layer; embedding tables are no layers."""

    def layers(name, quantizer):
        report = report_of(tools, minilm, tmp_path, f"--weights={name}", f"--quantizer={quantizer}")
        found = {w["name"]: w["snr_db"] for w in report["weights"] if "snr_db" in w and "embedding" not in w["name"]}
        assert len(found) >= 36
        return found

    nearest, squares = layers("int4_g32", "nearest"), layers("int4_g32", "least-squares")
    for better, worse in ((squares, nearest), (squares, layers("int4_g128", "least-squares"))):
        assert all(better[name] > worse[name] for name in worse)
