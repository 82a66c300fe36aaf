# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A Llama model small enough for a test, written with the `gguf` package, and what it should compute.

The reference is f64 and works on the file's own row order with the interleaved rotary of llama.cpp, so it shares neither code nor
conventions with the converter it checks.
"""
from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, HIDDEN, HEADS, KV_HEADS, CONTEXT, THETA, EPSILON = 2, 64, 96, 4, 2, 64, 1000.0, 1e-5
CLOSE = 1e-4  # f32 leaves about 1e-6 of its logits, which reach 3; a wrong weight or angle changes the first digit
HEAD = WIDTH // HEADS
ALPHABET = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["Ġ", "th", "he", "in", "Ġa", "Ċ"]
VOCABULARY = ["<|end|>", "<|start|>", *ALPHABET]
TEMPLATE = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>{% endif %}"
MATRICES = {"attn_q": (WIDTH, WIDTH), "attn_k": (KV_HEADS * HEAD, WIDTH), "attn_v": (KV_HEADS * HEAD, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
BLOCK = gguf.GGMLQuantizationType


def write_llama(path: Path, matrix=BLOCK.Q4_1, table=BLOCK.Q8_0, head=None, change=lambda name, values: values, types={},
                metadata={}) -> Path:
    """`change` edits a tensor's values before they are quantized; `types` and `metadata` replace single entries."""
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(str(path), "llama")
    entries = {"block_count": LAYERS, "embedding_length": WIDTH, "feed_forward_length": HIDDEN, "attention.head_count": HEADS,
               "attention.head_count_kv": KV_HEADS, "context_length": CONTEXT, "rope.dimension_count": HEAD, **metadata}
    for key, value in entries.items():
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(f"llama.{key}", value)
    writer.add_float32("llama.rope.freq_base", THETA)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", EPSILON)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3, 3] + [1] * (len(VOCABULARY) - 2))
    writer.add_token_merges(["t h", "h e", "i n", "Ġ a"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_chat_template(TEMPLATE)

    def add(name: str, shape: tuple, kind) -> None:
        values = random.standard_normal(shape).astype(np.float32)
        values = values * np.float32(shape[-1] ** -0.5) + np.float32(0.02) if len(shape) == 2 else 1 + values / 8
        values, kind = change(name, values), types.get(name, kind)
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", (len(VOCABULARY), WIDTH), table)
    for layer in range(LAYERS):
        for part, shape in MATRICES.items():
            add(f"blk.{layer}.{part}.weight", shape, matrix)
        for part in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{part}.weight", (WIDTH,), BLOCK.F32)
    add("output_norm.weight", (WIDTH,), BLOCK.F32)
    if head is not None:
        add("output.weight", (len(VOCABULARY), WIDTH), head)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def weights(path: Path) -> dict:
    """Every tensor of a GGUF file as f64, as the `gguf` package decodes it."""
    return {t.name.removesuffix(".weight"): gguf.dequantize(t.data, t.tensor_type).astype(np.float64)
            for t in gguf.GGUFReader(str(path)).tensors}


def logits(path: Path, ids: list) -> np.ndarray:
    """Logits [tokens, vocabulary] of the model in `path`."""
    w, length = weights(path), len(ids)

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * w[name]

    def rotate(x):
        angle = np.arange(length)[:, None, None] * THETA ** -(np.arange(0, HEAD, 2) / HEAD)
        pair = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)
        return np.stack([pair.real, pair.imag], -1).reshape(x.shape)

    x = w["token_embd"][ids]
    future = np.triu(np.full((length, length), -np.inf), 1)
    for layer in range(LAYERS):
        p = f"blk.{layer}."
        h = norm(x, p + "attn_norm")
        q = rotate((h @ w[p + "attn_q"].T).reshape(length, HEADS, HEAD))
        k = rotate((h @ w[p + "attn_k"].T).reshape(length, KV_HEADS, HEAD)).repeat(HEADS // KV_HEADS, 1)
        v = (h @ w[p + "attn_v"].T).reshape(length, KV_HEADS, HEAD).repeat(HEADS // KV_HEADS, 1)
        score = np.exp(np.einsum("thd,uhd->htu", q, k) / HEAD ** 0.5 + future)
        mixed = np.einsum("htu,uhd->thd", score / score.sum(-1, keepdims=True), v)
        x = x + mixed.reshape(length, -1) @ w[p + "attn_output"].T
        h = norm(x, p + "ffn_norm")
        gate = h @ w[p + "ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[p + "ffn_up"].T)) @ w[p + "ffn_down"].T
    return norm(x, "output_norm") @ w.get("output", w["token_embd"]).T
