# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What decomposed models are raised to: nothing of attention, norms, gelu or softmax is left in pieces."""

import collections
import re

import pytest

from real import model_path


def raised(tools, model, home):
    """How often each whit operation stands in the model at stage raised, and the text."""
    out = home / "raised.mlir"
    tools.run("whit-compile", model, "--stop-after=raised", "-o", out, "--quiet")
    text = out.read_text()
    return collections.Counter(re.findall(r"= whit\.(\w+)", text)), text


def test_the_encoder_is_raised(tools, tmp_path):
    found, text = raised(tools, model_path("minilm.onnx"), tmp_path)
    assert found["attention"] == 6 and found["gelu"] == 6 and found["layer_norm"] == 13 and found["softmax"] == 0
    assert text.count(" bidirectional ") == 6, "an encoder sees tokens on both sides"
    assert "math.erf" not in text and "linalg.transpose" not in text


def test_the_decoder_is_raised(tools, tmp_path):
    found, text = raised(tools, model_path("smollm2_optimum_fp32.onnx"), tmp_path)
    assert found["attention"] == 30 and found["rms_norm"] == 61 and found["rotary"] == 60 and found["softmax"] == 0
    # Present keys and values are written behind the past, and a row does not see what is behind it.
    assert len(re.findall(r"whit\.cache_append ins\(%\S+ after %arg", text)) == 60
    assert " bidirectional " not in text


@pytest.mark.parametrize("model", ["minilm.onnx", "smollm2_optimum_fp32.onnx"])
def test_remarks_say_what_was_raised(tools, tmp_path, model):
    explained = tmp_path / "explained.txt"
    tools.run("whit-compile", model_path(model), "--stop-after=raised", "-o", tmp_path / "raised.mlir", "--quiet",
              f"--explain={explained}")
    text = explained.read_text()
    assert re.search(r"attention raised from \d+ operations", text)
    assert "is not raised" not in text
