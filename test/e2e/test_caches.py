# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Keys and values in low-bit formats, in a real language model: what they cost in size, what they lose, and that a session can still
be saved and gone on with.

Each test is one promise. Numbers are printed with `pytest -s`.
"""
import json

import numpy as np
import pytest

import reference
from test_language_model import feeds, log_softmax
from test_whit_check import prompt, with_past

F32 = "--activations=f32"
# The error of logits is how badly they predict the text, the mean cross-entropy with the next token. It may change by a thousandth. The
# distance between the logits themselves would compare one rounding with another, and a code has a sixteenth of the precision of a half.
WITHIN = 0.001
# One kind of zero each; see include/whit/Formats.def.
ZEROS = ["int{}", "uint{}", "uint{}_float", "uint{}_min"]


@pytest.fixture(scope="module")
def english(tokens) -> list:
    return tokens.encode((reference.HERE / "english.txt").read_text(encoding="utf-8"))[:512]


@pytest.fixture(scope="module")
def predictions(tools, compiled, genai_int4, english):
    """predictions(flags...) -> log-probabilities behind each token of the text; each run once."""
    known = {}

    def predict(*flags) -> np.ndarray:
        if flags not in known:
            artifact, _ = compiled(genai_int4, F32, *flags)
            known[flags] = log_softmax(tools.infer(artifact, feeds(np.array([english], np.int64)))["logits"][0])
        return known[flags]

    return predict


def loss(predicted: np.ndarray, text: list) -> float:
    return float(-np.take_along_axis(predicted[:-1], np.array(text[1:])[:, None], 1).mean())


def divergence(expected: np.ndarray, found: np.ndarray) -> float:
    return float((np.exp(expected) * (expected - found)).sum(-1).mean())


def test_eight_bits_are_as_good_as_sixteen(predictions, english):
    halves = loss(predictions("--kv=f16"), english)
    for zero in ZEROS:
        codes = loss(predictions("--kv=" + zero.format(8)), english)
        print(f"{zero.format(8)}: loss {codes:.5f} against {halves:.5f} in f16, {codes / halves - 1:+.4%}, "
              f"KL {divergence(predictions('--kv=f32'), predictions('--kv=' + zero.format(8))):.6f}")
        assert abs(codes - halves) <= WITHIN * halves


def test_other_numbers_than_integers(predictions):
    """As many bits lose about as much, whatever the numbers; values are less delicate than keys."""
    exact = predictions("--kv=f32")
    lost = {kv: divergence(exact, predictions("--kv=" + kv)) for kv in ("int4", "nf4", "int8", "fp8_e4m3", "int8,int4")}
    print(f"KL {lost}")
    assert lost["nf4"] < lost["int4"] and lost["fp8_e4m3"] < lost["int4"] / 10
    assert lost["int8"] < lost["int8,int4"] < lost["int4"] / 2


def test_more_bits_are_better_and_a_rotation_helps(predictions):
    exact = predictions("--kv=f32")
    lost = {bits: divergence(exact, predictions(f"--kv=uint{bits}_min")) for bits in (2, 4, 8)}
    turned = divergence(exact, predictions("--kv=uint4_min", "--kv-hadamard"))
    print(f"KL by bits {lost}, 4 bits of rotated keys {turned:.5f}")
    assert lost[8] < lost[4] / 10 and lost[4] < lost[2] / 4
    assert turned < lost[4] * 0.75


@pytest.mark.parametrize("kv", [*(zero.format(4) for zero in ZEROS), "int8", "fp8_e4m3,nf4"])
def test_decodes_one_by_one_as_all_at_once(tools, compiled, genai_int4, english, kv):
    """What a token leaves in the cache does not depend on how many came with it."""
    artifact, _ = compiled(genai_int4, F32, "--kv=" + kv)
    ids = english[:40]
    found = tools.generate(artifact, ids, 12)["tokens"]
    logits = tools.infer(artifact, feeds(np.array([ids + found[:-1]], np.int64)))["logits"][0]
    assert found == logits[len(ids) - 1:].argmax(-1).tolist()


def test_takes_less_memory(tools, compiled, genai_int4):
    """30 layers x 2 x 3 heads: 64 codes and a scale, and a minimum where there is one."""
    for kv, bits, text in (("f16", 16.0, "f16 "), ("int8", 8.25, "int8_channel"), ("uint4_min", 4.5, "uint4_channel_min"),
                           ("int3", 3.25, "int3_channel")):
        artifact, _ = compiled(genai_int4, F32, "--kv=" + kv)
        states = [a for a in json.loads(tools.run("whit-run", artifact, "--inspect", "--json").out)["arguments"] if a["kind"] == "state"]
        size = sum(int(np.prod(a["shape"][1:])) * (1 if a["dtype"] == "i8" else 2) for a in states)
        assert len(states) == 60 and size == 30 * 2 * 3 * 64 * 2048 * bits / 8
        line = next(line for line in tools.run("whit-run", artifact, "--inspect").out.splitlines() if line.startswith("caches"))
        assert text in line and f"{bits:.2f} bits a value" in line


def test_goes_on_from_its_own_presents(tools, compiled, genai_int4, english):
    """The decoded values of a symmetric format have the codes that they were decoded from."""
    artifact, _ = compiled(genai_int4, F32, "--kv=int8")
    whole = tools.infer(artifact, feeds(np.array([english[:21]], np.int64)))
    first = tools.infer(artifact, feeds(np.array([english[:20]], np.int64)))
    presents = [name for name in first if name.startswith("present")]
    assert len(presents) == 60 and all(first[name].dtype == np.float32 for name in presents)
    then = tools.infer(artifact, feeds(np.array([english[20:21]], np.int64), [first[name] for name in presents],
                                       [name.replace("present", "past_key_values") for name in presents]))
    np.testing.assert_array_equal(then["logits"][0, 0], whole["logits"][0, 20])
    for name in presents:
        np.testing.assert_array_equal(then[name], whole[name])


def test_presents_are_near_those_of_floats(tools, compiled, genai_int4, english):
    """Rotated keys come back turned as the model knows them. A row of 64 numbers in 256 steps is off by a step of its range at most;
    those of later layers follow from other values."""
    ids = feeds(np.array([english[:30]], np.int64))
    exact = tools.infer(compiled(genai_int4, F32)[0], ids)
    found = tools.infer(compiled(genai_int4, F32, "--kv=uint8_min", "--kv-hadamard")[0], ids)
    for name in ("present.0.key", "present.0.value"):
        wanted = exact[name]
        length = np.sqrt((wanted ** 2).sum(-1, keepdims=True))  # no feature is larger, rotated or not
        assert np.abs(found[name] - wanted).max() > 0
        assert (np.abs(found[name] - wanted) <= 2 * length / 255 * (8 if "key" in name else 1)).all()


def test_refuses_a_past_that_is_no_number(tools, compiled, tiny, tmp_path):
    pytest.importorskip("onnxruntime")
    runtime = reference.Runtime(tiny)
    given = with_past(runtime, tiny, batch=1)
    name = runtime.past_inputs[1].name
    given[name] = given[name].copy()
    given[name][0, 0, 3, 2] = np.nan
    np.savez(tmp_path / "in.npz", **given)
    done = tools.call("whit-run", compiled(tiny, "--kv=int8")[0], "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
    assert done.code == 1 and f"past '{name}' cannot be stored as int8_channel: found NaN" in done.err


@pytest.mark.parametrize("flags", [("--kv=int8",), ("--kv=uint3", "--kv-hadamard"), ("--kv=uint5_float",),
                                   ("--kv=fp8_e5m2,nf4",), ("--kv=f16,int4",),
                                   ("--kv=uint4_min", "--kv-hadamard", "--target=x86-64")], ids=" ".join)
def test_every_region_is_within_its_bound(tools, compiled, tiny, tmp_path, flags):
    pytest.importorskip("onnxruntime")
    runtime = reference.Runtime(tiny)
    artifact = compiled(tiny, F32, *flags)[0]
    for given in (prompt(runtime), with_past(runtime, tiny)):
        np.savez(tmp_path / "in.npz", **given)
        done = tools.run("whit-check", tiny, artifact, "--inputs", tmp_path / "in.npz", "--all")
        assert "regions within their bounds" in done.out


def test_refuses_formats_that_are_for_weights(tools, tiny, tmp_path):
    for kv, why in (("int4_g32", "format 'int4_g32' cannot store keys and values"), ("int1", "cannot store keys and values"),
                    ("int9", "format 'int9'"), ("int8,mxfp4", "format 'mxfp4' cannot store keys and values")):
        done = tools.call("whit-compile", tiny, "-o", tmp_path / "m.so", "--kv=" + kv)
        assert done.code == 2 and why in done.err
    done = tools.call("whit-compile", tiny, "-o", tmp_path / "m.so", "--kv-hadamard")
    assert done.code == 2 and "--kv-hadamard is for keys in a low-bit format; --kv is f32" in done.err
