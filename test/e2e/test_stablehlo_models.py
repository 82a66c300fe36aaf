# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models that JAX wrote as StableHLO: the embeddings and tokens of their ONNX forms."""
import numpy as np
import pytest

from limits import EMBEDDING, LOGIT
from real import model_path
from reference import HERE, Runtime
from stablehlo_models import flags, program, write_llama

pytest.importorskip("onnxruntime")
random = np.random.default_rng(0)
CAPACITY = 512  # positions in the caches of the programs


def embeddings(session, ids, mask):
    """Mean of the last hidden states, of length 1: what the program computes behind the encoder."""
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    hidden = session.run(None, {v.name: feeds[v.name].astype(np.int64) for v in session.get_inputs()})[0]
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


@pytest.mark.parametrize("length", [1, 77, 128])
def test_minilm_gives_the_embeddings_of_its_onnx_form(tools, compiled, length):
    import onnxruntime

    artifact, _ = compiled(program("minilm_b1s128"), *flags("minilm_b1s128", model_path("minilm.safetensors")))
    ids = random.integers(1000, 20000, (1, 128)).astype(np.int32)
    mask = (np.arange(128) < length).astype(np.int32)[None]
    found = tools.infer(artifact, {"arg101": ids, "arg102": mask})["out0"]
    wanted = embeddings(onnxruntime.InferenceSession(str(model_path("minilm.onnx"))), ids, mask)
    assert np.abs(found - wanted).max() <= EMBEDDING


@pytest.fixture(scope="module")
def onnx_form(optimum_fp32):
    return Runtime(optimum_fp32)


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    return write_llama(tmp_path_factory.mktemp("params"))


def test_smollm2_continues_like_its_onnx_form(tools, compiled, onnx_form, params):
    """Token by token, the caches passed by hand: first a prompt, then what both choose."""
    artifact, _ = compiled(program("smollm2_t1"), *flags("smollm2_t1", params))
    prompt, caches, past = [504, 3575, 282], [np.zeros((30, 1, 3, CAPACITY, 64), np.float32)] * 2, onnx_form.empty_past()
    chosen = []
    for position in range(6):
        token = (prompt + chosen)[position]
        feeds = {"arg272": np.array([[token]], np.int32), "arg273": np.array(position, np.int32), "arg274": caches[0], "arg275": caches[1]}
        found = tools.infer(artifact, feeds)
        logits, past = onnx_form.step(np.array([[token]], np.int64), past)
        assert np.abs(found["out0"][0, -1] - logits[0, -1]).max() <= LOGIT
        best = int(found["out0"][0, -1].argmax())
        assert best == int(logits[0, -1].argmax())
        if position >= len(prompt) - 1:
            chosen.append(best)
        caches = [found["out1"], found["out2"]]


def test_smollm2_reads_a_prompt_like_its_onnx_form(tools, compiled, onnx_form, params, tokens):
    """A whole prompt in one call: what each of its 128 tokens is followed by, and the caches that are left."""
    artifact, _ = compiled(program("smollm2_t128"), *flags("smollm2_t128", params))
    ids = np.array([tokens.encode((HERE / "english.txt").read_text(encoding="utf-8"))[:128]])
    caches = np.zeros((30, 1, 3, CAPACITY, 64), np.float32)
    found = tools.infer(artifact, {"arg272": ids.astype(np.int32), "arg273": np.array(0, np.int32), "arg274": caches, "arg275": caches})
    logits, past = onnx_form.step(ids.astype(np.int64), onnx_form.empty_past())
    assert np.abs(found["out0"] - logits).max() <= LOGIT
    assert (found["out0"].argmax(-1) == logits.argmax(-1)).all()
    for name, cache in (("out1", past[0::2]), ("out2", past[1::2])):
        assert np.abs(found[name][:, :, :, :128] - np.stack(cache)).max() <= LOGIT
