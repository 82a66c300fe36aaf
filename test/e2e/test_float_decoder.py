# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A language model in f32 with fully dynamic shapes, as Optimum exports it: attention, norms and rotary embeddings are spelled out in
7,426 nodes, and the caches are tensors that grow."""
import numpy as np
import pytest

import reference
from limits import LOGIT
from test_language_model import agree


@pytest.fixture(scope="module")
def model(optimum_fp32):
    return optimum_fp32


@pytest.fixture(scope="module")
def runtime(model):
    pytest.importorskip("onnxruntime")
    return reference.Runtime(model)


@pytest.fixture(scope="module")
def english(tokens) -> np.ndarray:
    return np.array(tokens.encode((reference.HERE / "english.txt").read_text(encoding="utf-8")), np.int64)


def feeds_of(runtime, ids, past, mask=None) -> dict:
    if mask is None:
        mask = np.ones((ids.shape[0], ids.shape[1] + past[0].shape[2]), np.int64)
    positions = np.maximum(mask.cumsum(-1) - 1, 0)[:, -ids.shape[1]:]
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **{v.name: p for v, p in zip(runtime.past_inputs, past)}}


def test_everything_is_raised(tools, model, tmp_path):
    tools.run("whit-compile", model, "--stop-after=raised", "-o", tmp_path / "m.mlir")
    text = (tmp_path / "m.mlir").read_text()
    found = {op: text.count(f" whit.{op} ") for op in ("attention", "rms_norm", "rotary", "cache_append", "softmax")}
    assert found == {"attention": 30, "rms_norm": 61, "rotary": 60, "cache_append": 60, "softmax": 0}


@pytest.mark.parametrize("batch, past, new", [(1, 0, 1), (1, 0, 17), (2, 5, 3), (8, 30, 1), (1, 200, 64), (1, 0, 512), (1, 1000, 1)])
def test_logits_and_caches(tools, compiled, model, runtime, english, batch, past, new):
    """Any batch, past and prompt from one artifact; caches in and out."""
    rows = np.stack([np.roll(np.resize(english, 1100), -37 * i)[:past + new] for i in range(batch)])
    before = runtime.empty_past(batch)
    if past:
        before = runtime.step(rows[:, :past], before)[1]
    expected, presents = runtime.step(rows[:, past:], before)
    found = tools.infer(compiled(model)[0], feeds_of(runtime, rows[:, past:], before))
    difference = np.abs(found["logits"] - expected).max()
    print(f"batch {batch}, past {past}, new {new}: {difference:.1e}")
    assert difference <= LOGIT
    for value, present in zip(runtime.past_inputs, presents):
        assert np.abs(found[value.name.replace("past_key_values", "present")] - present).max() <= LOGIT


def test_rows_of_different_length(tools, compiled, model, runtime, english):
    """Shorter rows are padded on the left, as generation does it."""
    mask = np.ones((3, 12), np.int64)
    mask[1, :5] = mask[2, :11] = 0
    ids = np.where(mask, english[:36].reshape(3, 12), 0)
    expected, _ = runtime.step(ids, runtime.empty_past(3), mask)
    found = tools.infer(compiled(model)[0], feeds_of(runtime, ids, runtime.empty_past(3), mask))["logits"]
    assert np.abs(found - expected)[mask == 1].max() <= LOGIT


def test_as_exact_as_onnxruntime(tools, compiled, model, runtime, english, tmp_path):
    feeds = feeds_of(runtime, english[None, :12], runtime.empty_past())
    np.savez(tmp_path / "in.npz", **feeds)
    tools.run("whit-check", model, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "exact.npz")
    with np.load(tmp_path / "exact.npz") as file:
        exact = file["logits"]
    theirs = np.abs(runtime.step(feeds["input_ids"], runtime.empty_past())[0] - exact).max()
    ours = np.abs(tools.infer(compiled(model)[0], feeds)["logits"] - exact).max()
    print(f"largest error of a logit: ours {ours:.2e}, ONNX Runtime {theirs:.2e}")
    assert ours <= 2 * theirs


def test_every_region_is_within_its_bound(tools, compiled, model, runtime, english, tmp_path):
    np.savez(tmp_path / "in.npz", **feeds_of(runtime, english[None, :9], runtime.empty_past()))
    tools.run("whit-check", model, compiled(model)[0], "--inputs", tmp_path / "in.npz")


def test_greedy_tokens(tools, compiled, model, runtime, tokens):
    for text in reference.prompts()[:3]:
        ids = tokens.encode(text)
        expected, gaps = runtime.greedy(ids, 24)
        agree(lambda prompt, n: tools.generate(compiled(model)[0], prompt, n)["tokens"],
              {"prompt": text, "ids": ids, "tokens": expected, "gaps": gaps})


def test_a_mask_of_another_length_is_named(tools, compiled, model, tmp_path):
    """Its length is called past_sequence_length + sequence_length; what does not add up is refused before anything runs."""
    np.savez(tmp_path / "in.npz", input_ids=np.ones((1, 3), np.int64), attention_mask=np.ones((1, 5), np.int64))
    done = tools.call("whit-run", compiled(model)[0], "--inputs", tmp_path / "in.npz")
    assert done.code == 1
    assert ("dimension 1 (past_sequence_length + sequence_length) of input 'attention_mask' is 5; "
            "0 past and 3 new tokens make 3") in done.err
