# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The GGUF converter: weights exact, logits right in ONNX Runtime, everything unsupported named at once, nothing half written."""
import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
from real import model_path
from tiny import BLOCK, write_llama

from whit.convert_gguf import convert, float_zero_points, half_split
from whit.errors import FileError, InvalidInputError, UnsupportedError


def arrays_of(path) -> dict:
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}


def decoded(arrays: dict, name: str) -> np.ndarray:
    """A MatMulNBits weight in f64, as the operator's documentation defines it."""
    bits = 8 if f"{name}.MatMul.weight_Q8" in arrays else 4
    codes = arrays[f"{name}.MatMul.weight_Q{bits}"]
    if bits == 4:
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:2], 32)
    zero = arrays.get(f"{name}.MatMul.weight_zero_points", np.float64(1 << (bits - 1)))
    zero = zero[..., None].astype(np.float64) if zero.ndim else zero
    return ((codes - zero) * arrays[f"{name}.MatMul.weight_scales"][..., None].astype(np.float64)).reshape(codes.shape[0], -1)


def run(path, ids: list, level: int = 0) -> np.ndarray:
    """Logits by ONNX Runtime with one accuracy level on every MatMulNBits, in one call without a past."""
    model = onnx.load(str(path))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = level
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
    for value in session.get_inputs():
        if value.name.startswith("past"):
            feeds[value.name] = np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
    return session.run(["logits"], feeds)[0][0]


@pytest.mark.parametrize("matrix, table, head", [(BLOCK.Q4_1, BLOCK.Q8_0, None), (BLOCK.Q4_0, BLOCK.Q4_0, None),
                                                 (BLOCK.Q8_0, BLOCK.Q8_0, BLOCK.Q4_1)])
def test_logits_and_weights(tmp_path, matrix, table, head):
    source = write_llama(tmp_path / "m.gguf", matrix, table, head)
    output = convert(source, tmp_path / "m.onnx")
    arrays, expected = arrays_of(output), tiny.weights(source)
    for layer in range(tiny.LAYERS):
        p = f"blk.{layer}."
        qkv = [half_split(expected[p + "attn_q"], tiny.HEADS), half_split(expected[p + "attn_k"], tiny.KV_HEADS), expected[p + "attn_v"]]
        for name, value in (("attn.qkv_proj", np.concatenate(qkv)), ("attn.o_proj", expected[p + "attn_output"]),
                            ("mlp.gate_proj", expected[p + "ffn_gate"]), ("mlp.down_proj", expected[p + "ffn_down"])):
            # Only the zero point is rounded: once, to f32, and to no more than half a unit in the last place of the minimum.
            found = decoded(arrays, f"model.layers.{layer}.{name}")
            assert np.abs(found - value).max() <= np.abs(value).max() * 2.0 ** -23
    np.testing.assert_allclose(run(output, [5, 9, 1, 30, 2, 17]), tiny.logits(source, [5, 9, 1, 30, 2, 17]), rtol=tiny.CLOSE, atol=tiny.CLOSE)


def test_half_split_undoes_the_interleaving():
    # llama.cpp stores row 2i next to its partner: 0, d/2, 1, d/2+1, ...
    original = np.arange(16)[:, None]
    interleaved = original.reshape(2, 2, 4, 1).swapaxes(1, 2).reshape(16, 1)
    np.testing.assert_array_equal(half_split(interleaved, 2), original)


def test_a_constant_block_keeps_its_value():
    scales, zero = float_zero_points(np.float32([0, 0, 0.5]), np.float32([-0.25, 0, 1.5]))
    assert (scales * (0 - zero)).tolist() == [-0.25, 0, 1.5]
    assert zero[2] == -3 and np.isfinite(zero).all()


def test_a_model_with_constant_blocks(tmp_path):
    def flat(name, values):
        if "ffn_up" in name:
            values[:8, :32] = 0.375
        return values

    source = write_llama(tmp_path / "m.gguf", change=flat)
    arrays = arrays_of(convert(source, tmp_path / "m.onnx"))
    assert (decoded(arrays, "model.layers.1.mlp.up_proj")[:8, :32] == tiny.weights(source)["blk.1.ffn_up"][:8, :32]).all()


def test_the_embedding_is_the_head(tiny_onnx):
    graph = onnx.load(str(tiny_onnx), load_external_data=False).graph
    by_name = {n.name: n for n in graph.node}
    assert by_name["/model/embed_tokens/Reshape"].input[0] == by_name["/lm_head/MatMul_Q8"].input[1] == "lm_head.MatMul.weight_Q8"
    assert {n.op_type for n in graph.node} == {
        "Constant", "ReduceSum", "Sub", "Cast", "Shape", "Gather", "Reshape", "GatherBlockQuantized", "SimplifiedLayerNormalization",
        "MatMulNBits", "GroupQueryAttention", "SkipSimplifiedLayerNormalization", "Sigmoid", "Mul"}


def test_external_data_is_aligned_and_inside_the_file(tiny_onnx):
    size = tiny_onnx.with_name("tiny.onnx.data").stat().st_size
    for tensor in onnx.load(str(tiny_onnx), load_external_data=False).graph.initializer:
        place = {e.key: e.value for e in tensor.external_data}
        if place:
            assert place["location"] == "tiny.onnx.data" and int(place["offset"]) % 64 == 0
            assert int(place["offset"]) + int(place["length"]) <= size


def test_same_bytes_twice(tiny_gguf, tiny_onnx, tmp_path):
    again = convert(tiny_gguf, tmp_path / "tiny.onnx")
    for name in ("tiny.onnx", "tiny.onnx.data", "tokenizer.json", "tokenizer_config.json"):
        assert again.with_name(name).read_bytes() == tiny_onnx.with_name(name).read_bytes()


def test_everything_unsupported_is_listed_at_once(tmp_path):
    source = write_llama(tmp_path / "m.gguf", types={"blk.0.attn_output.weight": BLOCK.Q5_0, "blk.1.attn_v.weight": BLOCK.Q8_0,
                                                     "token_embd.weight": BLOCK.Q4_1},
                         metadata={"rope.scaling.type": "yarn", "rope.dimension_count": tiny.HEAD // 2})
    with pytest.raises(UnsupportedError) as caught:
        convert(source, tmp_path / "m.onnx")
    assert caught.value.exit_code == 3
    text = "\n".join(caught.value.reasons)
    for part in ("'blk.0.attn_output.weight'", "layer 1: q, k and v cannot be packed", "'token_embd.weight': Q4_1", "yarn",
                 "rotary of 8 of 16"):
        assert part in text
    assert len(caught.value.reasons) == 5


def test_wrong_sizes_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"'blk.0.ffn_gate.weight' has shape \[96, 64\]; \[128, 64\] is required"):
        convert(write_llama(tmp_path / "m.gguf", metadata={"feed_forward_length": 128}), tmp_path / "m.onnx")
    with pytest.raises(InvalidInputError, match="'blk.2.attn_q.weight' is missing"):
        convert(write_llama(tmp_path / "m.gguf", metadata={"block_count": 3}), tmp_path / "m.onnx")


def test_nothing_half_written_stays(tiny_gguf, tmp_path):
    def stop(layer, layers):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(tiny_gguf, tmp_path / "m.onnx", stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match="does not exist"):
        convert(tiny_gguf, tmp_path / "nowhere/m.onnx")


def test_smollm2_answers(tmp_path):
    from whit.tokens import Stream, Tokens

    output = convert(model_path("smollm2.gguf"), tmp_path / "smollm2.onnx")
    tokens = Tokens(tmp_path)
    ids = tokens.chat([{"role": "user", "content": "What is the capital of France?"}])
    stream, text, start = Stream(tokens), "", len(ids)
    while len(ids) - start < 12 and (token := int(run(output, ids)[-1].argmax())) != tokens.end:
        ids.append(token)
        text += stream.add(token)
    assert text == "The capital of France is Paris."
