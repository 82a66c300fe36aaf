# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models that JAX wrote as StableHLO: the embeddings and tokens of their ONNX forms."""
import numpy as np
import pytest

from real import model_path
from reference import Runtime
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
    assert np.abs(found - wanted).max() <= 1e-4


@pytest.fixture(scope="module")
def llama(compiled, tmp_path_factory):
    params = write_llama(tmp_path_factory.mktemp("llama"))
    return {tokens: compiled(program(f"smollm2_t{tokens}"), *flags(f"smollm2_t{tokens}", params))[0] for tokens in (1, 128)}


def test_smollm2_continues_like_its_onnx_form(tools, llama):
    """A prompt of 128 tokens through one program, then token by token through the other, its caches passed by hand."""
    reference = Runtime(model_path("smollm2_optimum_fp32.onnx"))
    ids = random.integers(100, 40000, (1, 128)).astype(np.int64)
    logits, past = reference.step(ids, reference.empty_past())
    caches = [np.zeros((30, 1, 3, CAPACITY, 64), np.float32)] * 2
    found = tools.infer(llama[128], {"arg272": ids.astype(np.int32), "arg273": np.array(0, np.int32), "arg274": caches[0], "arg275": caches[1]})
    assert np.abs(found["out0"][0, -1] - logits[0, -1]).max() <= 1e-3
    length = ids.shape[1]
    for _ in range(8):
        token = int(found["out0"][0, -1].argmax())
        assert token == int(logits[0, -1].argmax())
        feeds = {"arg272": np.array([[token]], np.int32), "arg273": np.array(length, np.int32), "arg274": found["out1"], "arg275": found["out2"]}
        found = tools.infer(llama[1], feeds)
        logits, past = reference.step(np.array([[token]], np.int64), past)
        length += 1
