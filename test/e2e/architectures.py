# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole architectures as exporters write them, at any size, with random weights of fixed seeds.

    architectures.py NAME OUT.onnx [--full]     writes one; without arguments, lists the names

Each function gives a `Sample`: the model, and inputs of one call. `SMALL` are sizes that a test compiles in a moment, `FULL` those of the
models that the names say.
"""
from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
MICROSOFT = "com.microsoft"


@dataclass
class Sample:
    model: onnx.ModelProto
    feeds: dict
    flags: list = field(default_factory=list)  # for whit-compile
    fixed: dict = field(default_factory=dict)  # what these flags take from the inputs


class Net:
    """A graph under construction. Values are names; `op` gives the name of its first output."""

    def __init__(self, seed: int, prefix: str = ""):
        self.random, self.prefix = np.random.default_rng(seed), prefix
        self.nodes, self.tensors, self.inputs, self.outputs, self.count = [], [], [], [], 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{self.prefix}{stem}_{self.count}"

    def op(self, kind: str, *inputs, outputs: int = 1, domain: str = "", called: str | None = None, **attributes):
        names = [called] if called else [self.name(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, [i if isinstance(i, str) else self.const(i) for i in inputs], names, name=names[0],
                                           domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def const(self, value, kind=None) -> str:
        """Numbers: floats as f32, integers as i64."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = self.name("const")
        self.tensors.append(numpy_helper.from_array(np.array(array if kind is None else array.astype(kind), order="C"), name))
        return name

    def weight(self, *shape, scale: float | None = None) -> str:
        """Normal, so that a product with the first dimension keeps the size of its input."""
        spread = scale if scale is not None else float(np.prod(shape[:-1]) if len(shape) > 1 else 1) ** -0.5
        return self.const(self.random.standard_normal(shape, np.float32) * np.float32(spread))

    def near_one(self, *shape) -> str:
        return self.const(1 + 0.1 * self.random.standard_normal(shape, np.float32))

    def input(self, name: str, kind: int, *shape) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value: str, name: str, kind: int, *shape) -> str:
        self.op("Identity", value, called=name)
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def graph(self, name: str = "main"):
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.tensors)

    def model(self, opset: int = 17) -> onnx.ModelProto:
        domains = {node.domain for node in self.nodes if node.domain}
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
        return helper.make_model(self.graph(), opset_imports=opsets, ir_version=9)

    # Pieces that several architectures have.

    def linear(self, x: str, n: int, k: int, bias: bool = True) -> str:
        y = self.op("MatMul", x, self.weight(k, n))
        return self.op("Add", self.weight(n, scale=0.1), y) if bias else y

    def layer_norm(self, x: str, width: int) -> str:
        return self.op("LayerNormalization", x, self.near_one(width), self.weight(width, scale=0.1), axis=-1, epsilon=1e-5)

    def rms_norm(self, x: str, width: int) -> str:
        mean = self.op("ReduceMean", self.op("Pow", x, np.float32(2)), axes=[-1])
        root = self.op("Sqrt", self.op("Add", mean, np.float32(1e-6)))
        return self.op("Mul", self.near_one(width), self.op("Mul", x, self.op("Div", np.float32(1), root)))

    def gelu_erf(self, x: str) -> str:
        erf = self.op("Erf", self.op("Div", x, np.float32(2**0.5)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, np.float32(1))), np.float32(0.5))

    def gelu_tanh(self, x: str) -> str:
        inner = self.op("Add", x, self.op("Mul", self.op("Pow", x, np.float32(3)), np.float32(0.044715)))
        tanh = self.op("Tanh", self.op("Mul", inner, np.float32((2 / np.pi) ** 0.5)))
        return self.op("Mul", self.op("Mul", x, np.float32(0.5)), self.op("Add", tanh, np.float32(1)))

    def dim(self, x: str, axis: int) -> str:
        """A size as a tensor of one element."""
        return self.op("Unsqueeze", self.op("Gather", self.op("Shape", x), np.int64(axis), axis=0), [0])

    def shape(self, *parts) -> str:
        return self.op("Concat", *(part if isinstance(part, str) else self.const([part]) for part in parts), axis=0)

    def heads(self, x: str, heads: int, size: int) -> str:
        """[B, S, H*D] as [B, H, S, D]."""
        split = self.op("Reshape", x, self.shape(self.dim(x, 0), self.dim(x, 1), heads, size))
        return self.op("Transpose", split, perm=[0, 2, 1, 3])

    def joined(self, x: str, width: int) -> str:
        rows = self.op("Transpose", x, perm=[0, 2, 1, 3])
        return self.op("Reshape", rows, self.shape(self.dim(rows, 0), self.dim(rows, 1), width))

    def attend(self, q: str, k: str, v: str, mask: str | None = None, scale: float | None = None) -> str:
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        if scale is not None:
            scores = self.op("Div", scores, np.float32(scale))
        if mask is not None:
            scores = self.op("Add", scores, mask)
        return self.op("MatMul", self.op("Softmax", scores, axis=-1), v)


def tokens(seed: int, most: int, *shape) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, most, shape)


def normal(seed: int, *shape) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


# ------------------------------------------------------------------------------------------------ language models


def gpt2(layers: int, width: int, heads: int, vocabulary: int, context: int, batch=2, past=3, new=4) -> Sample:
    """As torch exports it: the causal mask cut from a buffer, gelu by tanh, caches that grow, the embedding again as the head."""
    net, size = Net(1), width // heads
    ids = net.input("input_ids", I64, "batch", "sequence")
    mask = net.input("attention_mask", I64, "batch", "past + sequence")
    pasts = [[net.input(f"past_key_values.{i}.{kind}", F32, "batch", heads, "past", size) for kind in ("key", "value")] for i in range(layers)]
    embedding = net.weight(vocabulary, width, scale=0.3)
    old = net.op("Gather", net.op("Shape", pasts[0][0]), np.int64(2), axis=0)
    total = net.op("Add", old, net.op("Gather", net.op("Shape", ids), np.int64(1), axis=0))
    positions = net.op("Unsqueeze", net.op("Range", old, total, np.int64(1)), [0])
    x = net.op("Add", net.op("Gather", embedding, ids), net.op("Gather", net.weight(context, width, scale=0.1), positions))
    visible = net.op("Cast", net.op("Unsqueeze", mask, [1, 2]), to=F32)
    padding = net.op("Mul", net.op("Sub", np.float32(1), visible), np.finfo(np.float32).min)
    buffer = net.const(np.tril(np.ones((1, 1, context, context), np.bool_)))
    begin, end = net.op("Unsqueeze", old, [0]), net.op("Unsqueeze", total, [0])
    causal = net.op("Slice", net.op("Slice", buffer, begin, end, [2]), [0], end, [3])
    for i in range(layers):
        h = net.layer_norm(x, width)
        flat = net.op("Reshape", h, [-1, width])
        qkv = net.op("Gemm", flat, net.weight(width, 3 * width), net.weight(3 * width, scale=0.1), alpha=1.0, beta=1.0)
        qkv = net.op("Reshape", qkv, net.shape(net.dim(ids, 0), net.dim(ids, 1), 3 * width))
        q, k, v = (net.heads(part, heads, size) for part in net.op("Split", qkv, [width] * 3, outputs=3, axis=2))
        k, v = net.op("Concat", pasts[i][0], k, axis=2), net.op("Concat", pasts[i][1], v, axis=2)
        net.output(k, f"present.{i}.key", F32, "batch", heads, "past + sequence", size)
        net.output(v, f"present.{i}.value", F32, "batch", heads, "past + sequence", size)
        scores = net.op("Div", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), np.float32(size**0.5))
        scores = net.op("Where", causal, scores, np.finfo(np.float32).min)
        y = net.op("MatMul", net.op("Softmax", net.op("Add", scores, padding), axis=-1), v)
        x = net.op("Add", net.linear(net.joined(y, width), width, width), x)
        h = net.gelu_tanh(net.linear(net.layer_norm(x, width), 4 * width, width))
        x = net.op("Add", x, net.linear(h, width, 4 * width))
    logits = net.op("MatMul", net.layer_norm(x, width), net.op("Transpose", embedding, perm=[1, 0]))
    net.output(logits, "logits", F32, "batch", "sequence", vocabulary)
    feeds = {"input_ids": tokens(1, vocabulary, batch, new), "attention_mask": np.ones((batch, past + new), np.int64)}
    for i, name in enumerate(name for pair in pasts for name in pair):
        feeds[name] = normal(10 + i, batch, heads, past, size)
    return Sample(net.model(), feeds)


def relative_bias(net: Net, rows: str, columns: str, heads: int, buckets: int, distance: int, both_ways: bool) -> str:
    """The bias of T5 by the distance of two tokens, its buckets computed in the graph as exporters leave it: [1, H, rows, columns]."""
    query = net.op("Unsqueeze", net.op("Range", np.int64(0), rows, np.int64(1)), [1])
    key = net.op("Unsqueeze", net.op("Range", np.int64(0), columns, np.int64(1)), [0])
    apart = net.op("Sub", key, query)
    half = buckets
    if both_ways:
        half = buckets // 2
        offset = net.op("Mul", net.op("Cast", net.op("Greater", apart, np.int64(0)), to=I64), np.int64(half))
        apart = net.op("Abs", apart)
    else:
        offset, apart = None, net.op("Neg", net.op("Min", apart, np.int64(0)))
    exact = half // 2
    far = net.op("Max", net.op("Cast", apart, to=F32), np.float32(1))
    log = net.op("Log", net.op("Div", far, np.float32(exact)))
    steps = net.op("Mul", net.op("Div", log, np.float32(np.log(distance / exact))), np.float32(half - exact))
    large = net.op("Min", net.op("Add", net.op("Cast", steps, to=I64), np.int64(exact)), np.int64(half - 1))
    bucket = net.op("Where", net.op("Less", apart, np.int64(exact)), apart, large)
    if offset:
        bucket = net.op("Add", bucket, offset)
    bias = net.op("Gather", net.weight(buckets, heads, scale=0.5), bucket)
    return net.op("Unsqueeze", net.op("Transpose", bias, perm=[2, 0, 1]), [0])


def t5_mask(net: Net, mask: str) -> str:
    seen = net.op("Cast", net.op("Unsqueeze", mask, [1, 2]), to=F32)
    return net.op("Mul", net.op("Sub", np.float32(1), seen), np.finfo(np.float32).min)


def t5_block(net: Net, x: str, memory: str, width: int, heads: int, size: int, bias: str) -> str:
    """Attention of x over `memory` and itself added; T5 does not divide scores, so its weights are that much smaller."""
    inner, h = heads * size, net.rms_norm(x, width)
    memory = memory or h
    q = net.heads(net.op("MatMul", h, net.weight(width, inner, scale=(width * size) ** -0.5)), heads, size)
    k, v = (net.heads(net.linear(memory, inner, width, bias=False), heads, size) for _ in range(2))
    return net.op("Add", x, net.linear(net.joined(net.attend(q, k, v, bias), inner), width, inner, bias=False))


def t5_feed_forward(net: Net, x: str, width: int, hidden: int) -> str:
    h = net.op("Relu", net.linear(net.rms_norm(x, width), hidden, width, bias=False))
    return net.op("Add", x, net.linear(h, width, hidden, bias=False))


def t5_encoder(layers: int, width: int, heads: int, size: int, hidden: int, vocabulary: int, batch=2, length=7) -> Sample:
    net = Net(2)
    ids, mask = net.input("input_ids", I64, "batch", "sequence"), net.input("attention_mask", I64, "batch", "sequence")
    x = net.op("Gather", net.weight(vocabulary, width, scale=1), ids)
    count = net.op("Gather", net.op("Shape", ids), np.int64(1), axis=0)
    bias = net.op("Add", relative_bias(net, count, count, heads, 32, 128, both_ways=True), t5_mask(net, mask))
    for _ in range(layers):
        x = t5_feed_forward(net, t5_block(net, x, "", width, heads, size, bias), width, hidden)
    net.output(net.rms_norm(x, width), "last_hidden_state", F32, "batch", "sequence", width)
    seen = np.ones((batch, length), np.int64)
    seen[-1, length - 2:] = 0
    return Sample(net.model(), {"input_ids": tokens(2, vocabulary, batch, length), "attention_mask": seen})


def t5_decoder(layers: int, width: int, heads: int, size: int, hidden: int, vocabulary: int, batch=2, length=7, new=5) -> Sample:
    net = Net(3)
    ids = net.input("input_ids", I64, "batch", "decoder_sequence")
    mask = net.input("encoder_attention_mask", I64, "batch", "encoder_sequence")
    memory = net.input("encoder_hidden_states", F32, "batch", "encoder_sequence", width)
    embedding = net.weight(vocabulary, width, scale=1)
    x = net.op("Gather", embedding, ids)
    count = net.op("Gather", net.op("Shape", ids), np.int64(1), axis=0)
    line = net.op("Range", np.int64(0), count, np.int64(1))
    later = net.op("LessOrEqual", net.op("Unsqueeze", line, [0]), net.op("Unsqueeze", line, [1]))
    causal = net.op("Where", later, np.float32(0), np.finfo(np.float32).min)
    bias = net.op("Add", relative_bias(net, count, count, heads, 32, 128, both_ways=False), net.op("Unsqueeze", causal, [0, 1]))
    hidden_mask = t5_mask(net, mask)
    for _ in range(layers):
        x = t5_block(net, x, "", width, heads, size, bias)
        x = t5_block(net, x, memory, width, heads, size, hidden_mask)
        x = t5_feed_forward(net, x, width, hidden)
    x = net.op("Mul", net.rms_norm(x, width), np.float32(width**-0.5))
    net.output(net.op("MatMul", x, net.op("Transpose", embedding, perm=[1, 0])), "logits", F32, "batch", "decoder_sequence", vocabulary)
    seen = np.ones((batch, length), np.int64)
    seen[0, length - 3:] = 0
    return Sample(net.model(), {"input_ids": tokens(3, vocabulary, batch, new), "encoder_attention_mask": seen,
                                "encoder_hidden_states": normal(3, batch, length, width)})


def moe_decoder(layers: int, width: int, heads: int, hidden: int, vocabulary: int, experts=8, chosen=2, bits=0, batch=2, new=5) -> Sample:
    """Attention over the prompt, and experts: floats (`MoE`), or codes of `bits` bits in blocks of 32 (`QMoE`)."""
    net, size = Net(4), width // heads
    ids = net.input("input_ids", I64, "batch", "sequence")
    x = net.op("Gather", net.weight(vocabulary, width, scale=1), ids)
    count = net.op("Gather", net.op("Shape", ids), np.int64(1), axis=0)
    line = net.op("Range", np.int64(0), count, np.int64(1))
    later = net.op("LessOrEqual", net.op("Unsqueeze", line, [0]), net.op("Unsqueeze", line, [1]))
    causal = net.op("Unsqueeze", net.op("Where", later, np.float32(0), np.finfo(np.float32).min), [0, 1])

    def codes(n, k):
        return (net.const(net.random.integers(0, 256, (experts, n, k * bits // 8), np.uint8)),
                net.const(np.abs(net.random.standard_normal((experts, n, k // 32), np.float32)) * np.float32(0.3 * k**-0.5)))

    for _ in range(layers):
        h = net.rms_norm(x, width)
        q, k, v = (net.heads(net.linear(h, width, width, bias=False), heads, size) for _ in range(3))
        x = net.op("Add", x, net.linear(net.joined(net.attend(q, k, v, causal, size**0.5), width), width, width, bias=False))
        flat = net.op("Reshape", net.rms_norm(x, width), [-1, width])
        router = net.linear(flat, experts, width, bias=False)
        common = {"domain": MICROSOFT, "k": chosen, "activation_type": "silu", "normalize_routing_weights": 1}
        if bits:
            y = net.op("QMoE", flat, router, *codes(hidden, width), "", *codes(width, hidden), expert_weight_bits=bits, block_size=32, **common)
        else:
            weights = [net.weight(experts, hidden, width, scale=width**-0.5), net.weight(experts, hidden, scale=0.1),
                       net.weight(experts, width, hidden, scale=hidden**-0.5), net.weight(experts, width, scale=0.1)]
            y = net.op("MoE", flat, router, *weights, **common)
        x = net.op("Add", x, net.op("Reshape", y, net.shape(net.dim(ids, 0), net.dim(ids, 1), width)))
    net.output(net.linear(net.rms_norm(x, width), vocabulary, width, bias=False), "logits", F32, "batch", "sequence", vocabulary)
    return Sample(net.model(), {"input_ids": tokens(4, vocabulary, batch, new)})


def qmoe_decoder(**sizes) -> Sample:
    return moe_decoder(bits=4, **sizes)


def mamba(layers: int, width: int, states: int, rank: int, vocabulary: int, batch=2, length=6, kernel=4) -> Sample:
    """A selective state space: a causal convolution by channel, step sizes and matrices that follow from the input, and the recurrence as
    a Scan over the sequence, whose length is part of the program."""
    net, inner = Net(5), 2 * width
    ids = net.input("input_ids", I64, "batch", length)
    x = net.op("Gather", net.weight(vocabulary, width, scale=1), ids)
    for _ in range(layers):
        both = net.linear(net.rms_norm(x, width), 2 * inner, width, bias=False)
        u, gate = net.op("Split", both, [inner, inner], outputs=2, axis=2)
        conv = net.op("Conv", net.op("Transpose", u, perm=[0, 2, 1]), net.weight(inner, 1, kernel, scale=kernel**-0.5),
                      net.weight(inner, scale=0.1), group=inner, kernel_shape=[kernel], pads=[kernel - 1, 0])
        u = net.op("Transpose", conv, perm=[0, 2, 1])
        u = net.op("Mul", u, net.op("Sigmoid", u))
        parts = net.linear(u, rank + 2 * states, inner, bias=False)
        step, b, c = net.op("Split", parts, [rank, states, states], outputs=3, axis=2)
        step = net.op("Softplus", net.linear(step, inner, rank))
        a = net.op("Neg", net.op("Exp", net.const(np.log(np.tile(np.arange(1, states + 1, dtype=np.float32), (inner, 1))))))
        decay = net.op("Exp", net.op("Mul", net.op("Unsqueeze", step, [3]), a))  # [B, L, D, N]
        drive = net.op("Mul", net.op("Unsqueeze", net.op("Mul", step, u), [3]), net.op("Unsqueeze", b, [2]))
        zero = net.op("ConstantOfShape", net.shape(net.dim(ids, 0), inner, states), value=helper.make_tensor("zero", F32, [1], [0.0]))
        y = net.op("Scan", zero, decay, drive, c, outputs=2, body=recurrence(inner, states), num_scan_inputs=3, scan_input_axes=[1, 1, 1],
                   scan_output_axes=[1])[1]
        y = net.op("Add", y, net.op("Mul", u, net.weight(inner, scale=1)))
        y = net.op("Mul", y, net.op("Mul", gate, net.op("Sigmoid", gate)))
        x = net.op("Add", x, net.linear(y, width, inner, bias=False))
    net.output(net.linear(net.rms_norm(x, width), vocabulary, width, bias=False), "logits", F32, "batch", length, vocabulary)
    return Sample(net.model(), {"input_ids": tokens(5, vocabulary, batch, length)})


def recurrence(inner: int, states: int):
    body = Net(0, "step.")
    h, decay, drive = (body.input(name, F32, "batch", inner, states) for name in ("h", "decay", "drive"))
    c = body.input("c", F32, "batch", states)
    h = body.op("Add", body.op("Mul", decay, h), drive)
    y = body.op("Squeeze", body.op("MatMul", h, body.op("Unsqueeze", c, [2])), [2])
    body.output(h, "next", F32, "batch", inner, states)
    body.output(y, "y", F32, "batch", inner)
    return body.graph("step")


# ------------------------------------------------------------------------------------------------ speech


def whisper_heads(net: Net, x: str, width: int, heads: int, keys: list) -> tuple[str, list]:
    """Queries of x, and keys and values: of `keys`, which is [memory] ("": x itself), or that pair if they are finished."""
    size, h = width // heads, net.layer_norm(x, width)
    q = net.heads(net.op("Mul", net.linear(h, width, width), np.float32(size**-0.5)), heads, size)
    if len(keys) == 2:
        k, v = keys
    else:
        memory = keys[0] or h
        k = net.heads(net.linear(memory, width, width, bias=False), heads, size)
        v = net.heads(net.linear(memory, width, width), heads, size)
    return q, [k, v]


def whisper_encoder(layers: int, width: int, heads: int, bands: int, frames: int, batch=1) -> Sample:
    net = Net(6)
    x = net.input("input_features", F32, "batch", bands, frames)
    x = net.gelu_erf(net.op("Conv", x, net.weight(width, bands, 3, scale=(3 * bands) ** -0.5), net.weight(width, scale=0.1), kernel_shape=[3], pads=[1, 1]))
    x = net.gelu_erf(net.op("Conv", x, net.weight(width, width, 3, scale=(3 * width) ** -0.5), net.weight(width, scale=0.1), kernel_shape=[3],
                            pads=[1, 1], strides=[2]))
    x = net.op("Add", net.op("Transpose", x, perm=[0, 2, 1]), net.weight(frames // 2, width, scale=0.1))
    for _ in range(layers):
        q, (k, v) = whisper_heads(net, x, width, heads, [""])
        x = net.op("Add", x, net.linear(net.joined(net.attend(q, k, v), width), width, width))
        h = net.gelu_erf(net.linear(net.layer_norm(x, width), 4 * width, width))
        x = net.op("Add", x, net.linear(h, width, 4 * width))
    net.output(net.layer_norm(x, width), "last_hidden_state", F32, "batch", frames // 2, width)
    return Sample(net.model(), {"input_features": normal(6, batch, bands, frames)})


def whisper_decoder(layers: int, width: int, heads: int, vocabulary: int, context: int, frames: int, branch=True, batch=2, past=3, new=1) -> Sample:
    """The merged decoder of Optimum: If chooses between the prompt, which makes keys and values of the encoder's output, and a step that
    has them. Both branches share the weights outside of them."""
    size, frames, outer = width // heads, frames // 2, Net(7)
    outer.input("input_ids", I64, "batch", "sequence")
    outer.input("encoder_hidden_states", F32, "batch", frames, width)
    kinds = [(i, side, kind) for i in range(layers) for side in ("decoder", "encoder") for kind in ("key", "value")]
    for i, side, kind in kinds:
        outer.input(f"past_key_values.{i}.{side}.{kind}", F32, "batch", heads, "past" if side == "decoder" else frames, size)
    outer.input("use_cache_branch", BOOL, 1)
    branches = []
    for has_past in (True, False):
        tag = "with" if has_past else "without"
        net = Net(8, tag + ".")  # the same weights
        embedding = net.weight(vocabulary, width, scale=1)
        positions = net.weight(context, width, scale=0.1)
        ids = "input_ids"
        if has_past:
            old = net.op("Gather", net.op("Shape", "past_key_values.0.decoder.key"), np.int64(2), axis=0)
        else:
            old = net.const(np.int64(0))
        total = net.op("Add", old, net.op("Gather", net.op("Shape", ids), np.int64(1), axis=0))
        line = net.op("Range", old, total, np.int64(1))
        x = net.op("Add", net.op("Gather", embedding, ids), net.op("Unsqueeze", net.op("Gather", positions, line), [0]))
        every = net.op("Range", np.int64(0), total, np.int64(1))
        seen = net.op("LessOrEqual", net.op("Unsqueeze", every, [0]), net.op("Unsqueeze", line, [1]))
        mask = net.op("Unsqueeze", net.op("Where", seen, np.float32(0), np.finfo(np.float32).min), [0, 1])
        presents = {}
        for i in range(layers):
            q, (k, v) = whisper_heads(net, x, width, heads, [""])
            if has_past:
                k = net.op("Concat", f"past_key_values.{i}.decoder.key", k, axis=2)
                v = net.op("Concat", f"past_key_values.{i}.decoder.value", v, axis=2)
            presents[i, "decoder", "key"], presents[i, "decoder", "value"] = k, v
            x = net.op("Add", x, net.linear(net.joined(net.attend(q, k, v, mask), width), width, width))
            known = [f"past_key_values.{i}.encoder.key", f"past_key_values.{i}.encoder.value"]
            q, (k, v) = whisper_heads(net, x, width, heads, known if has_past else ["encoder_hidden_states"])
            if has_past:  # what the other branch draws for keys and values, so that the rest is the same
                net.random.standard_normal((width, width), np.float32), net.random.standard_normal((width, width), np.float32)
                net.random.standard_normal(width, np.float32)
            presents[i, "encoder", "key"], presents[i, "encoder", "value"] = k, v
            x = net.op("Add", x, net.linear(net.joined(net.attend(q, k, v), width), width, width))
            h = net.gelu_erf(net.linear(net.layer_norm(x, width), 4 * width, width))
            x = net.op("Add", x, net.linear(h, width, 4 * width))
        logits = net.op("MatMul", net.layer_norm(x, width), net.op("Transpose", embedding, perm=[1, 0]))
        net.output(logits, f"{tag}.logits", F32, "batch", "sequence", vocabulary)
        for i, side, kind in kinds:
            length = frames if side == "encoder" else "past + sequence" if has_past else "sequence"
            net.output(presents[i, side, kind], f"{tag}.present.{i}.{side}.{kind}", F32, "batch", heads, length, size)
        branches.append(net.graph(tag))
    names = ["logits", *(f"present.{i}.{side}.{kind}" for i, side, kind in kinds)]
    outer.nodes.append(helper.make_node("If", ["use_cache_branch"], names, name="optimum::if", then_branch=branches[0], else_branch=branches[1]))
    outer.outputs.append(helper.make_tensor_value_info("logits", F32, ["batch", "sequence", vocabulary]))
    for i, side, kind in kinds:
        outer.outputs.append(helper.make_tensor_value_info(f"present.{i}.{side}.{kind}", F32,
                                                           ["batch", heads, "total" if side == "decoder" else frames, size]))
    feeds = {"input_ids": tokens(7, vocabulary, batch, new), "encoder_hidden_states": normal(7, batch, frames, width)}
    for at, (i, side, kind) in enumerate(kinds):
        feeds[f"past_key_values.{i}.{side}.{kind}"] = normal(20 + at, batch, heads, past if side == "decoder" else frames, size)
    return Sample(outer.model(), feeds, [f"--dim=use_cache_branch={int(branch)}"], {"use_cache_branch": np.array([branch])})


def whisper_prompt(**sizes) -> Sample:
    return whisper_decoder(branch=False, past=0, new=4, **sizes)


# ------------------------------------------------------------------------------------------------ images


def vit(layers: int, width: int, heads: int, patch: int, image: int, classes: int, batch=2) -> Sample:
    """As timm exports it: patches by a convolution, one product for q, k and v, five dimensions that are taken apart."""
    net, size, count = Net(9), width // heads, (image // patch) ** 2
    x = net.input("pixel_values", F32, "batch", 3, image, image)
    x = net.op("Conv", x, net.weight(width, 3, patch, patch, scale=(3 * patch * patch) ** -0.5), net.weight(width, scale=0.1),
               kernel_shape=[patch, patch], strides=[patch, patch])
    x = net.op("Transpose", net.op("Reshape", x, net.shape(net.dim(x, 0), width, -1)), perm=[0, 2, 1])
    first = net.op("Expand", net.weight(1, 1, width, scale=0.1), net.shape(net.dim(x, 0), 1, width))
    x = net.op("Add", net.op("Concat", first, x, axis=1), net.weight(1, count + 1, width, scale=0.1))
    for _ in range(layers):
        qkv = net.linear(net.layer_norm(x, width), 3 * width, width)
        five = net.op("Transpose", net.op("Reshape", qkv, net.shape(net.dim(x, 0), count + 1, 3, heads, size)), perm=[2, 0, 3, 1, 4])
        q, k, v = (net.op("Gather", five, np.int64(i), axis=0) for i in range(3))
        y = net.attend(net.op("Mul", q, np.float32(size**-0.5)), k, v)
        x = net.op("Add", x, net.linear(net.joined(y, width), width, width))
        h = net.gelu_erf(net.linear(net.layer_norm(x, width), 4 * width, width))
        x = net.op("Add", x, net.linear(h, width, 4 * width))
    first = net.op("Gather", net.layer_norm(x, width), np.int64(0), axis=1)
    logits = net.op("Gemm", first, net.weight(classes, width, scale=width**-0.5), net.weight(classes, scale=0.1), transB=1)
    net.output(logits, "logits", F32, "batch", classes)
    return Sample(net.model(), {"pixel_values": normal(9, batch, 3, image, image)})


# Expansion, channels, repeats and first stride of MobileNetV2's blocks.
MOBILENET = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def mobilenet_v2(image: int, classes: int, blocks=tuple(MOBILENET), first=32, last=1280, batch=1) -> Sample:
    """With batch normalization folded in, as every exporter leaves it."""
    net = Net(10)
    x = net.input("pixel_values", F32, "batch", 3, image, image)

    def conv(x, inputs, outputs, kernel, stride=1, group=1, clip=True):
        fan = inputs // group * kernel * kernel
        y = net.op("Conv", x, net.weight(outputs, inputs // group, kernel, kernel, scale=(2 / fan) ** 0.5), net.weight(outputs, scale=0.3),
                   kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4, group=group)
        return net.op("Clip", y, np.float32(0), np.float32(6)) if clip else y

    x, channels = conv(x, 3, first, 3, 2), first
    for expansion, outputs, repeats, stride in blocks:
        for i in range(repeats):
            inner, before = channels * expansion, x
            if expansion > 1:
                x = conv(x, channels, inner, 1)
            x = conv(x, inner, inner, 3, stride if i == 0 else 1, inner)
            x = conv(x, inner, outputs, 1, clip=False)
            if i or (stride == 1 and channels == outputs):
                x = net.op("Add", before, x)
            channels = outputs
    x = net.op("GlobalAveragePool", conv(x, channels, last, 1))
    logits = net.op("Gemm", net.op("Flatten", x, axis=1), net.weight(classes, last, scale=last**-0.5), net.weight(classes, scale=0.1), transB=1)
    net.output(logits, "logits", F32, "batch", classes)
    return Sample(net.model(), {"pixel_values": normal(11, batch, 3, image, image)})


def quantized(sample: Sample, form: str) -> Sample:
    """The model as ONNX Runtime's static quantization writes it (`QDQ` or `QOperator`): activations uint8, weights int8 by channel."""
    import tempfile
    from pathlib import Path

    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{name: normal(100 + i, 1, *array.shape[1:]) for name, array in sample.feeds.items()} for i in range(3)]

        def get_next(self):
            return self.left.pop() if self.left else None

    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "float.onnx", Path(folder) / "quantized.onnx"
        onnx.save(sample.model, source)
        quantize_static(source, result, Reader(), quant_format=QuantFormat[form], per_channel=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8)
        return Sample(onnx.load(result), sample.feeds)


def mobilenet_v2_qdq(**sizes) -> Sample:
    return quantized(mobilenet_v2(**sizes), "QDQ")


def mobilenet_v2_qoperator(**sizes) -> Sample:
    return quantized(mobilenet_v2(**sizes), "QOperator")


# ------------------------------------------------------------------------------------------------ all of them

T5 = {"layers": 6, "width": 512, "heads": 8, "size": 64, "hidden": 2048, "vocabulary": 32128}
SMALL_T5 = {"layers": 1, "width": 48, "heads": 3, "size": 16, "hidden": 80, "vocabulary": 67}
WHISPER = {"layers": 4, "width": 384, "heads": 6}
SMALL_WHISPER = {"layers": 1, "width": 48, "heads": 3}
SMALL_MOBILENET = {"image": 32, "classes": 11, "blocks": ((1, 8, 1, 1), (6, 16, 2, 2), (6, 24, 2, 1)), "first": 8, "last": 64}
MOE = {"width": 64, "heads": 4, "hidden": 96, "vocabulary": 67}
FULL_MOE = {"layers": 8, "width": 512, "heads": 8, "hidden": 1024, "vocabulary": 8192}

ARCHITECTURES = {
    "gpt2": (gpt2, {"layers": 2, "width": 48, "heads": 3, "vocabulary": 67, "context": 24},
             {"layers": 12, "width": 768, "heads": 12, "vocabulary": 50257, "context": 1024, "past": 17, "new": 6}),
    "vit": (vit, {"layers": 1, "width": 48, "heads": 3, "patch": 8, "image": 32, "classes": 11},
            {"layers": 12, "width": 384, "heads": 6, "patch": 16, "image": 224, "classes": 1000}),
    "t5_encoder": (t5_encoder, SMALL_T5, T5 | {"length": 40}),
    "t5_decoder": (t5_decoder, SMALL_T5, T5 | {"length": 40, "new": 12}),
    "whisper_encoder": (whisper_encoder, SMALL_WHISPER | {"bands": 10, "frames": 24}, WHISPER | {"bands": 80, "frames": 3000}),
    "whisper_decoder": (whisper_decoder, SMALL_WHISPER | {"vocabulary": 67, "context": 24, "frames": 24},
                        WHISPER | {"vocabulary": 51865, "context": 448, "frames": 3000}),
    "whisper_prompt": (whisper_prompt, SMALL_WHISPER | {"vocabulary": 67, "context": 24, "frames": 24},
                       WHISPER | {"vocabulary": 51865, "context": 448, "frames": 3000}),
    "mobilenet_v2": (mobilenet_v2, SMALL_MOBILENET, {"image": 224, "classes": 1000}),
    "mobilenet_v2_qdq": (mobilenet_v2_qdq, SMALL_MOBILENET, {"image": 224, "classes": 1000}),
    "mobilenet_v2_qoperator": (mobilenet_v2_qoperator, SMALL_MOBILENET, {"image": 224, "classes": 1000}),
    "moe_decoder": (moe_decoder, MOE | {"layers": 1}, FULL_MOE),
    "qmoe_decoder": (qmoe_decoder, MOE | {"layers": 1}, FULL_MOE),
    "mamba": (mamba, {"layers": 1, "width": 32, "states": 8, "rank": 4, "vocabulary": 67},
              {"layers": 4, "width": 768, "states": 16, "rank": 48, "vocabulary": 8192, "length": 16}),
}


def sample(name: str, full: bool = False) -> Sample:
    make, small, whole = ARCHITECTURES[name]
    return make(**(whole if full else small))


def main(arguments) -> None:
    names = [argument for argument in arguments if not argument.startswith("--")]
    if len(names) != 2:
        print(" ".join(ARCHITECTURES))
        return
    onnx.save(sample(names[0], "--full" in arguments).model, names[1])


if __name__ == "__main__":
    main(sys.argv[1:])
