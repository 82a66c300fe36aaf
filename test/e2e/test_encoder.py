# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A real encoder in f32, MiniLM as Optimum exports it: one artifact for all batches and lengths, as close to the truth as another
runtime, and the same bits for a sentence alone and in a batch, for any number of threads, from run to run."""
import numpy as np
import pytest

from limits import HIDDEN
from real import model_path

OUTPUT = "last_hidden_state"


def sentences(batch: int, length: int, padded: bool = True) -> dict:
    """Random tokens; behind the first sentence each is three tokens shorter than the one before it."""
    random, mask = np.random.default_rng(batch * 1000 + length), np.ones((batch, length), np.int64)
    for row in range(batch if padded else 0):
        mask[row, max(1, length - 3 * row):] = 0
    return {"input_ids": random.integers(0, 30522, (batch, length)), "attention_mask": mask,
            "token_type_ids": random.integers(0, 2, (batch, length))}


@pytest.fixture(scope="module")
def model():
    return model_path("minilm.onnx")


@pytest.fixture(scope="module")
def artifact(model, compiled):
    return compiled(model)[0]


@pytest.fixture(scope="module")
def peer(model):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return lambda feeds: session.run([OUTPUT], feeds)[0]


@pytest.mark.parametrize("batch, length", [(1, 1), (1, 2), (2, 15), (3, 17), (8, 33), (5, 64), (1, 128), (2, 257), (1, 512), (8, 512)])
def test_agrees_with_onnx_runtime(tools, artifact, peer, batch, length):
    feeds = sentences(batch, length)
    np.testing.assert_allclose(tools.infer(artifact, feeds)[OUTPUT], peer(feeds), rtol=0, atol=HIDDEN)


def test_is_as_close_to_f64_as_onnx_runtime(tools, model, artifact, peer, tmp_path):
    feeds = sentences(2, 24)
    np.savez(tmp_path / "in.npz", **feeds)
    tools.run("whit-check", model, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "ref.npz")
    with np.load(tmp_path / "ref.npz") as file:
        exact = file[OUTPUT]
    ours, theirs = (np.abs(found - exact) for found in (tools.infer(artifact, feeds)[OUTPUT], peer(feeds)))
    assert ours.max() <= 2 * theirs.max()
    assert ours.mean() <= 2 * theirs.mean()


def test_every_region_is_within_its_bound(tools, model, artifact, tmp_path):
    np.savez(tmp_path / "in.npz", **sentences(2, 19))
    tools.run("whit-check", model, artifact, "--inputs", tmp_path / "in.npz")


@pytest.mark.parametrize("length", [1, 16, 37])
def test_a_sentence_is_the_same_alone_and_in_a_batch(tools, artifact, length):
    feeds = sentences(8, length, padded=False)
    together = tools.infer(artifact, feeds)[OUTPUT]
    for row in range(8):
        alone = tools.infer(artifact, {name: array[row:row + 1] for name, array in feeds.items()})[OUTPUT]
        np.testing.assert_array_equal(alone[0], together[row])


def test_results_depend_on_nothing_but_the_input(tools, artifact):
    feeds = sentences(3, 70)
    first = tools.infer(artifact, feeds, "--threads", 1)[OUTPUT]
    for threads in (1, 2, 3, 7):
        np.testing.assert_array_equal(tools.infer(artifact, feeds, "--threads", threads)[OUTPUT], first)
