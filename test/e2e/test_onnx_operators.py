# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the importer takes operators to mean is what ONNX Runtime computes, within what f32 allows."""
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from real import ROOT

sys.path.insert(0, str(ROOT / "test/lib/Import/ONNX"))
import models  # noqa: E402


class Collected(dict):
    """Takes the place of a folder: keeps the models of a group by name."""

    def save(self, name, proto, external=False):
        self[name] = proto


def group(name):
    collected = Collected()
    getattr(models, name)(collected)
    return collected


random = np.random.default_rng(0)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def rotated(proto):
    """With cosines and sines of other angles than 0."""
    angles = normal(16, 8) * 3
    for tensor in proto.graph.initializer:
        if tensor.name in ("cos", "sin"):
            tensor.CopyFrom(models.constant(tensor.name, getattr(np, tensor.name)(angles)))
    return proto


def attention_case(lengths, new, past, packed=True, has_past=True, **more):
    """`lengths` tokens in each sequence, `new` of them new, behind a past of `past` (padded for shorter sequences)."""
    batch = len(lengths)
    feeds = {"lengths": np.array(lengths, np.int32) - 1, "mask": np.ones((batch, new + past), np.int64)}
    for name, width in {"qkv": 128}.items() if packed else {"q": 64, "k": 32, "v": 32}.items():
        feeds[name] = normal(batch, new, width)
    if has_past:
        feeds |= {name: normal(batch, 2, past, 16) for name in ("past.key", "past.value")}
    return rotated(models.attention_model(packed=packed, past=has_past, depth=16, **more)), feeds


def cases():
    for bits in (2, 4, 8):
        for zeros in (None, "packed", "float"):
            if (bits, zeros) != (8, "float"):  # which ONNX Runtime refuses
                yield f"{bits} bits, zero points {zeros}", models.nbits(bits=bits, zeros=zeros), {"x": normal(2, 3, 64)}
    for k, bits, block in ((80, 4, 32), (80, 4, 16), (96, 4, 32), (112, 2, 16)):
        yield f"ragged {k}, {bits} bits in {block}", models.nbits(k=k, bits=bits, block=block, zeros="packed"), {"x": normal(2, 3, k)}
    bias = models.constant("bias", normal(8))
    yield "bias", models.nbits(extra=["", "", "bias"], more=[bias]), {"x": normal(2, 3, 64)}
    ids = np.array([[0, 3, -1], [7, 1, 2]])
    yield "tied embedding", group("embedding")["tied"], {"ids": abs(ids)}
    yield "float embedding", group("embedding")["float"], {"ids": ids % 4}
    yield "float matmul", group("embedding")["matmul"], {"x": normal(5, 3)}
    for name in ("simple", "skip"):
        feeds = {"x": normal(2, 3, 8)} | ({"skip": normal(2, 3, 8)} if name == "skip" else {})
        yield f"{name} norm", group("norms")[name], feeds
    yield "elementwise", group("elementwise")["chain"], {"x": normal(2, 5) * 9, "y": normal(1, 5)}
    for name in ("split", "axes", "sum"):
        yield name, group("shapes")[name], {"x": normal(2, 3, 12)}
    yield "merge", group("shapes")["merge"], {"x": normal(5, 4)}
    for name in ("raw", "floats", "literal"):
        yield f"weights {name}", group("weights")[name], {"x": normal(5, 3)}
    yield "prompt", *attention_case([5, 5], 5, 0)
    yield "decode", *attention_case([7, 4], 1, 6)
    yield "chunk", *attention_case([7], 3, 4)
    separate = {"packed": False, "rotary_interleaved": 1, "scale": 0.5, "softcap": 3.0, "local_window_size": 3}
    yield "separate prompt", *attention_case([5, 5], 5, 0, **separate)
    yield "separate decode", *attention_case([8, 8], 1, 7, **separate)
    yield "without past", *attention_case([5, 5], 5, 0, has_past=False, rotary=False)


@pytest.mark.parametrize("proto, feeds", [pytest.param(*case[1:], id=case[0]) for case in cases()])
def test_an_operator_means_what_onnx_runtime_computes(tools, tmp_path, proto, feeds):
    place = tmp_path / "model.onnx"
    onnx.save(proto, place)
    session = onnxruntime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
    expected = {output.name: value for output, value in zip(session.get_outputs(), session.run(None, feeds))}
    np.savez(tmp_path / "in.npz", **feeds)
    tools.run("whit-check", place, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz", "--bounds")
    with np.load(tmp_path / "out.npz") as found:
        for name, value in expected.items():
            assert found[name].shape == value.shape
            error = np.abs(found[name].astype(np.float64) - value)
            allowed = found[f"{name}.bound"] if f"{name}.bound" in found else 0
            assert (error <= allowed).all(), f"{name}: off by {error.max()}, {np.max(error / np.maximum(allowed, 1e-300))} times the bound"
