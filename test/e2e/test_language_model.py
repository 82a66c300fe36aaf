# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A real int4 language model, as ONNX Runtime GenAI's builder exports it, compiled and run by the command line tools.

Each test is one promise. Numbers are printed with `pytest -s`.
"""
import json
import os

import numpy as np
import pytest

import float64
import reference
from limits import ACTIVATIONS_KL, QUANTIZED

F32, INT8 = "--activations=f32", "--activations=int8"
CLEAR_GAP = 1e-3  # closer than this, ONNX Runtime's own choice depends on the order of its sums


@pytest.fixture(scope="session")
def runtime(genai_int4):
    pytest.importorskip("onnxruntime")
    return reference.Runtime(genai_int4)


@pytest.fixture(scope="session")
def english(tokens) -> list:
    ids = tokens.encode((reference.HERE / "english.txt").read_text(encoding="utf-8"))
    assert len(ids) >= 512
    return ids[:512]


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64) - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def feeds(ids: np.ndarray, past: list = (), names: list = ()) -> dict:
    length = ids.shape[1] + (past[0].shape[2] if past else 0)
    return {"input_ids": ids, "attention_mask": np.ones((ids.shape[0], length), np.int64), **dict(zip(names, past))}


def agree(generate, entry: dict) -> tuple[int, list]:
    """Compares greedy tokens with a reference. Where both best logits were too close to call, our run goes on from the reference's
    choice; returns how many tokens were compared and the positions that were too close and differed."""
    expected, gaps, done, close = entry["tokens"], entry["gaps"], 0, []
    while done < len(expected):
        found = generate(entry["ids"] + expected[:done], len(expected) - done)
        wrong = next((i for i, (a, b) in enumerate(zip(found, expected[done:])) if a != b), None)
        assert len(found) == len(expected) - done
        if wrong is None:
            break
        done += wrong
        assert gaps[done] <= CLEAR_GAP, (f"{entry['prompt']!r}: token {done} is {found[wrong]}, ONNX Runtime chose {expected[done]} "
                                         f"with a gap of {gaps[done]:.5f}")
        close.append(done)
        done += 1
    return len(expected), close


def test_greedy_tokens_equal_onnxruntime(tools, compiled, genai_int4, runtime, tokens):
    artifact, _ = compiled(genai_int4, F32)
    texts = reference.prompts()
    assert len(texts) == 8
    for text in texts:
        ids = tokens.encode(text)
        expected, gaps = runtime.greedy(ids, 64)
        count, close = agree(lambda prompt, n: tools.generate(artifact, prompt, n)["tokens"],
                             {"prompt": text, "ids": ids, "tokens": expected, "gaps": gaps})
        print(f"{count} tokens equal, {len(close)} too close to call: {text[:50]!r}")


@pytest.mark.parametrize("activations", ACTIVATIONS_KL)
def test_quantized_activations_stay_close(tools, compiled, genai_int4, english, activations):
    ids = np.array([english], np.int64)
    ours = [log_softmax(tools.infer(compiled(genai_int4, flag)[0], feeds(ids))["logits"][0])
            for flag in (F32, f"--activations={activations}")]
    divergence = (np.exp(ours[0]) * (ours[0] - ours[1])).sum(-1)
    same = (ours[0].argmax(-1) == ours[1].argmax(-1)).mean()
    print(f"mean KL {divergence.mean():.5f}, largest {divergence.max():.4f}, same best token {same:.1%}")
    assert len(divergence) == 512 and divergence.mean() <= ACTIVATIONS_KL[activations]


def test_error_is_that_of_onnxruntime(tools, compiled, genai_int4, runtime, english):
    """Against f64, the f32 path errs no more than ONNX Runtime does (within what another order of sums may cost)."""
    ids = np.array([english[:24]], np.int64)
    names = [v.name for v in runtime.past_inputs]
    exact = float64.run(genai_int4, feeds(ids, runtime.empty_past(), names))["logits"]
    ours = tools.infer(compiled(genai_int4, F32)[0], feeds(ids))["logits"]
    theirs, _ = runtime.step(ids, runtime.empty_past())
    error, peer = (float(np.sqrt(((x - exact) ** 2).mean())) for x in (ours, theirs))
    print(f"rms error {error:.3g}, ONNX Runtime {peer:.3g}")
    assert error <= 4 * peer


def test_any_batch_prompt_and_past(tools, compiled, genai_int4, runtime, english):
    """One artifact takes every batch and length, with or without a past, and gives the presents back in the model's own form."""
    artifact, _ = compiled(genai_int4, F32)
    names = [v.name for v in runtime.past_inputs]
    for batch, first, then in ((1, 1, 1), (2, 5, 3), (3, 17, 1), (1, 128, 2)):
        ids = np.array([english[i * 7:i * 7 + first + then] for i in range(batch)], np.int64)
        _, past = runtime.step(ids[:, :first], runtime.empty_past(batch))
        # ONNX Runtime itself takes several new tokens after a past for one row only.
        rows = [runtime.step(ids[i:i + 1, first:], [p[i:i + 1] for p in past]) for i in range(batch)]
        expected, presents = np.concatenate([r[0] for r in rows]), [np.concatenate(p) for p in zip(*(r[1] for r in rows))]
        found = tools.infer(artifact, feeds(ids[:, first:], past, names))
        assert found["logits"].shape == expected.shape
        scale = np.abs(expected).max()
        assert np.abs(found["logits"] - expected).max() <= QUANTIZED * scale
        for name, present in zip(names, presents):
            ours = found[name.replace("past_key_values", "present")]
            assert ours.shape == present.shape and np.abs(ours - present).max() <= QUANTIZED * np.abs(present).max()


def test_same_bits_alone_in_a_batch_and_on_any_thread_count(tools, compiled, genai_int4, english):
    ids = np.array([english[:9], english[50:59]], np.int64)
    for flag in (F32, INT8):
        artifact, _ = compiled(genai_int4, flag)
        one, two = (tools.infer(artifact, feeds(ids), "--threads", n)["logits"] for n in (1, 2))
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[1], tools.infer(artifact, feeds(ids[1:]))["logits"][0])


@pytest.mark.parametrize("target", ["x86-64-v3", "x86-64"])
def test_other_machines_agree(tools, compiled, genai_int4, english, target):
    """Integer paths give the same bits on every level; f32 paths stay within another order of sums."""
    ids = np.array([english[:12]], np.int64)
    host, other = (tools.infer(compiled(genai_int4, F32, *t)[0], feeds(ids))["logits"] for t in ((), (f"--target={target}",)))
    assert np.abs(host - other).max() <= QUANTIZED * np.abs(host).max()
    assert (host.argmax(-1) == other.argmax(-1)).all()


def test_every_region_is_within_its_bound(tools, compiled, genai_int4, english, tmp_path):
    given = tmp_path / "in.npz"
    np.savez(given, **feeds(np.array([english[:16]], np.int64)))
    done = tools.run("whit-check", genai_int4, compiled(genai_int4, F32)[0], "--inputs", given)
    print(done.out.strip()[-400:])


def test_memory_of_generation(tools, compiled, genai_int4, english):
    artifact, _ = compiled(genai_int4, "--activations=auto")
    manifest = json.loads(tools.run("whit-run", artifact, "--inspect", "--json").out)
    weights = artifact.with_suffix(".safetensors").stat().st_size
    states = [a["shape"] for a in manifest["arguments"] if a["kind"] == "state"]
    cache = sum(4 * int(np.prod([1 if isinstance(size, str) else size for size in shape])) for shape in states)
    done = tools.generate(artifact, english[:128], 32)
    limit = (weights + cache) / 2**20 + 96
    print(f"peak {done['peak_mb']:.0f} MB, limit {limit:.0f} MB; "
          f"prefill {done['prefill_tps']:.0f}, decode {done['decode_tps']:.0f} tokens/s")
    assert done["peak_mb"] < limit


def test_compile_time_and_memory(compiled, genai_int4):
    _, used = compiled(genai_int4, "--activations=auto")
    print(f"compiled in {used.seconds:.1f} s, peak {used.peak_mb:.0f} MB")
    assert used.peak_mb <= 4096
    if not os.environ.get("CI"):  # a shared machine may be slow for reasons of its own
        assert used.seconds <= 90
