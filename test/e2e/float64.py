# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A decoder-only ONNX model of the ONNX Runtime GenAI builder, computed in f64 with numpy, node by node.

It knows the operators of such files and nothing else, shares no code with Whit, and is slow. With it the error of a compiled model
can be compared with the error of another runtime, where comparing the two with each other would measure both at once.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np


def decode(codes: np.ndarray, scales: np.ndarray, zeros, bits: int, k: int, dtype=np.float64) -> np.ndarray:
    """[N, blocks, bytes] codes, low bits first, to [N, K]; zeros is None, packed bytes like the codes, or floats."""
    n, blocks = codes.shape[0], codes.shape[1]
    codes = unpack(codes, bits).reshape(n, blocks, -1).astype(dtype)
    if zeros is None:
        zeros = dtype(1 << (bits - 1))
    elif zeros.dtype == np.uint8:
        zeros = unpack(zeros.reshape(n, -1), bits)[:, :blocks, None].astype(dtype)
    else:
        zeros = zeros.reshape(n, blocks, 1).astype(dtype)
    return ((codes - zeros) * scales.reshape(n, blocks, 1)).reshape(n, -1)[:, :k]


def unpack(data: np.ndarray, bits: int) -> np.ndarray:
    parts = [(data >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, -1).reshape(*data.shape[:-1], -1)


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def attention(qkv, past_key, past_value, last, cos, sin, heads: int, kv_heads: int, scale: float):
    """GroupQueryAttention with packed q, k, v and half-split rotary; rows are right padded, `last` is each row's last valid position."""
    batch, tokens, width = qkv.shape
    size, past = width // (heads + 2 * kv_heads), past_key.shape[2]
    q, k, v = np.split(qkv.reshape(batch, tokens, -1, size).swapaxes(1, 2), [heads, heads + kv_heads], axis=1)
    # With a past the new tokens continue it; without one every row starts at 0, whatever its length.
    position = past + np.arange(tokens)

    def rotate(x):
        c, s, half = cos[position], sin[position], size // 2
        low, high = x[..., :half], x[..., half:]
        return np.concatenate([low * c - high * s, high * c + low * s], -1)

    key, value = np.concatenate([past_key, rotate(k)], 2), np.concatenate([past_value, v], 2)
    score = rotate(q) @ key.repeat(heads // kv_heads, 1).swapaxes(2, 3) * scale
    column = np.arange(past + tokens)
    hidden = (column > position[:, None])[None, None] | (column > np.asarray(last).reshape(-1, 1, 1, 1))
    score = np.where(hidden, -np.inf, score)
    weight = np.exp(score - score.max(-1, keepdims=True))
    mixed = weight / weight.sum(-1, keepdims=True) @ value.repeat(heads // kv_heads, 1)
    return mixed.swapaxes(1, 2).reshape(batch, tokens, -1), key, value


def run(model: Path, feeds: dict, dtype=np.float64) -> dict:
    """All outputs of the model in f64 for `feeds` by input name; or in f32, which shows what rounding does to them."""
    import onnx

    proto = onnx.load(str(model))
    values = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    values.update({k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in feeds.items()}, **{"": None})
    for node in proto.graph.node:
        x = [values[name] for name in node.input]
        a = {p.name: onnx.helper.get_attribute_value(p) for p in node.attribute}
        kind = node.op_type
        if kind == "Constant":
            y = [onnx.numpy_helper.to_array(a["value"])]
        elif kind == "ReduceSum":
            y = [x[0].sum(axis=tuple(x[1].tolist()), keepdims=bool(a["keepdims"]))]
        elif kind in ("Sub", "Mul"):
            y = [x[0] - x[1] if kind == "Sub" else x[0] * x[1]]
        elif kind == "Cast":
            y = [x[0].astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))]
        elif kind == "Shape":
            y = [np.array(x[0].shape)]
        elif kind == "Reshape":
            y = [x[0].reshape(x[1])]
        elif kind == "Gather":
            y = [np.take(x[0], x[1], axis=a.get("axis", 0))]
        elif kind == "Sigmoid":
            y = [1 / (1 + np.exp(-x[0]))]
        elif kind == "GatherBlockQuantized":
            rows = x[0][x[1]].reshape(-1, x[2].shape[1], a["block_size"] * a["bits"] // 8)
            zeros = x[3][x[1]].reshape(rows.shape[0], -1) if len(x) > 3 else None
            table = decode(rows, x[2][x[1]].reshape(-1, x[2].shape[1]), zeros, a["bits"], rows.shape[1] * a["block_size"], dtype)
            y = [table.reshape(*x[1].shape, -1)]
        elif kind == "MatMulNBits":
            y = [x[0] @ decode(x[1], x[2], x[3] if len(x) > 3 else None, a["bits"], a["K"], dtype).T]
        elif kind == "SimplifiedLayerNormalization":
            y = [rms_norm(x[0], x[1], a["epsilon"])]
        elif kind == "SkipSimplifiedLayerNormalization":
            y = [rms_norm(x[0] + x[1], x[2], a["epsilon"]), None, None, x[0] + x[1]]
        elif kind == "GroupQueryAttention":
            y = attention(x[0], x[3], x[4], x[5], x[7], x[8], a["num_heads"], a["kv_num_heads"], a["scale"])
        else:
            raise SystemExit(f"float64.py: node '{node.name}': operator {kind} is not known here")
        values.update(zip(node.output, y))
    return {v.name: values[v.name] for v in proto.graph.output}
