# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The f64 reference agrees with ONNX Runtime, so that it may judge us: prompts, a past, and rows of different length."""
import numpy as np
import pytest

import float64
import reference

onnxruntime = pytest.importorskip("onnxruntime")


def feeds_of(runtime, ids, mask, past) -> dict:
    return {"input_ids": ids, "attention_mask": mask, **{v.name: p for v, p in zip(runtime.past_inputs, past)}}


def test_prompt_then_past(tiny):
    runtime, random = reference.Runtime(tiny), np.random.default_rng(3)
    ids = random.integers(0, 32, (2, 7))
    past = runtime.empty_past(2)
    for step in (ids, ids[:, :1], ids[:, 2:3]):
        mask = np.ones((2, step.shape[1] + past[0].shape[2]), np.int64)
        ours = float64.run(tiny, feeds_of(runtime, step, mask, past))
        logits, past = runtime.step(step, past, mask)
        np.testing.assert_allclose(logits, ours["logits"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(past[0], ours["present.0.key"], rtol=1e-4, atol=1e-4)


def test_rows_of_different_length(tiny):
    runtime = reference.Runtime(tiny)
    ids, mask = np.array([[3, 4, 5, 6], [7, 8, 0, 0]]), np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    ours = float64.run(tiny, feeds_of(runtime, ids, mask, runtime.empty_past(2)))["logits"]
    logits, _ = runtime.step(ids, runtime.empty_past(2), mask)
    np.testing.assert_allclose(logits[0], ours[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits[1, :2], ours[1, :2], rtol=1e-4, atol=1e-4)
