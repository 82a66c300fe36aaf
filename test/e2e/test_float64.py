# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The f64 reference agrees with ONNX Runtime, so that it may judge us: prompts, a past, and rows of different length."""
import numpy as np
import pytest

import float64
import reference

onnxruntime = pytest.importorskip("onnxruntime")


def feeds_of(runtime, ids, mask, past) -> dict:
    return {"input_ids": ids, "attention_mask": mask, **{v.name: p for v, p in zip(runtime.past_inputs, past)}}


def check(found, name, model, feeds, rows=slice(None)):
    """Within eight times the error that the same program makes in f32: another order of sums and other functions are no worse."""
    exact, rounded = (float64.run(model, feeds, dtype)[name][rows] for dtype in (np.float64, np.float32))
    assert rounded.dtype == np.float32 and exact.dtype == np.float64
    assert np.abs(found[rows] - exact).max() <= 8 * np.abs(rounded - exact).max()


def test_prompt_then_past(tiny):
    runtime, random = reference.Runtime(tiny), np.random.default_rng(3)
    ids = random.integers(0, 32, (2, 7))
    past = runtime.empty_past(2)
    for step in (ids, ids[:, :1], ids[:, 2:3]):
        mask = np.ones((2, step.shape[1] + past[0].shape[2]), np.int64)
        feeds = feeds_of(runtime, step, mask, past)
        logits, past = runtime.step(step, past, mask)
        check(logits, "logits", tiny, feeds)
        check(past[0], "present.0.key", tiny, feeds)


def test_rows_of_different_length(tiny):
    runtime = reference.Runtime(tiny)
    ids, mask = np.array([[3, 4, 5, 6], [7, 8, 0, 0]]), np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    logits, _ = runtime.step(ids, runtime.empty_past(2), mask)
    for rows in (np.s_[0], np.s_[1, :2]):
        check(logits, "logits", tiny, feeds_of(runtime, ids, mask, runtime.empty_past(2)), rows)
