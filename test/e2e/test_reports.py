# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What --report says is true: its numbers are computed here again, from the weights file and the model."""
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """One layer of 40 x 64 floats, and its weight as rows of outputs."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(8).normal(0, 0.05, (64, 40)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w\"<&'"], ["y"], name="/MatMul")
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 40])], [numpy_helper.from_array(weight, "w\"<&'")])
    path = tmp_path_factory.mktemp("report") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), str(path))
    return path, weight.T


def report(tools, model, tmp_path, name, *flags):
    path = tmp_path / name
    tools.run("whit-compile", model, "-o", tmp_path / "model.so", "--quiet", f"--report={path}", *flags)
    return path.read_text(encoding="utf-8")


def test_numbers_follow_from_the_artifact(tools, model, tmp_path):
    path, weight = model
    found = json.loads(report(tools, path, tmp_path, "r.json", "--weights=int8_channel", "--activations=f32"))
    (row,) = found["weights"]
    # Rows of the identity through the compiled model are the weight's values as they are stored.
    stored = np.stack([tools.infer(tmp_path / "model.so", {"x": np.eye(64, dtype=np.float32)[[k]]})["y"][0] for k in (0, 5, 63)], axis=1)
    change = np.abs(stored.astype(np.float64) - weight[:, [0, 5, 63]])
    assert 0 < change.max() <= row["largest_error"] * (1 + 1e-6)
    assert np.sqrt((change**2).mean() / (weight**2).mean()) == pytest.approx(row["relative_rms_error"], rel=0.2)
    assert row["snr_db"] == pytest.approx(-20 * np.log10(row["relative_rms_error"]))
    assert row["bytes_before"] == 40 * 64 * 4 and row["bytes_after"] == 48 * (64 + 2)  # three panels of 16 columns
    assert found["weights_total"]["bytes_after"] == row["bytes_after"] and found["options"]["quantizer"] == "least-squares"


def test_the_search_loses_less(tools, model, tmp_path):
    snr = {q: json.loads(report(tools, model[0], tmp_path, "r.json", "--weights=int3_g16", f"--quantizer={q}"))["weights_total"]["snr_db"]
           for q in ("nearest", "least-squares")}
    assert snr["least-squares"] > snr["nearest"] + 0.3


class Page(HTMLParser):
    """What a browser would do with a page: which elements it has, which are left open, what it would load."""

    VOID = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.loads, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [v for k, v in attributes if k in ("src", "href", "xlink:href", "srcset", "data", "action") or (v or "").startswith("http")]
        if tag not in self.VOID:  # the others are closed, by themselves or by an end tag
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_loads_nothing(tools, model, tmp_path):
    text = report(tools, model[0], tmp_path, "r.html", "--weights=int4_g32")
    page = Page(text)
    assert not page.open and not page.loads and "script" not in page.tags and "url(" not in text
    assert "w\"<&'" in page.text, "the name of the weight, once it is read back"
    plots = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]
    assert len(plots) == 3  # signal to noise, errors, bytes
    for plot in plots:
        height = float(plot.get("height"))
        for bar in plot.iter("rect"):
            assert 0 <= float(bar.get("y")) and float(bar.get("y")) + float(bar.get("height")) <= height
