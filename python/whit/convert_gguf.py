# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a Llama model of a GGUF file as ONNX with `com.microsoft` operators, in the form of the ONNX Runtime GenAI builder.

Nothing is rounded on the way: the codes are copied, the f16 scales become f32, and a minimum m beside a scale d becomes the
float zero point -m/d, because d*q + m = d*(q - (-m/d)). The embedding is shared with the head when the file has no head of its
own. Rows of q and k return from GGUF's interleaved rotary order to the half-split one that `rotary_interleaved=0` means.

Not handled: other architectures, scaled rotary frequencies, block types beyond Q4_0, Q4_1 and Q8_0; all found are listed at once.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Iterator

import numpy as np

from .errors import FileError, InvalidInputError, UnsupportedError
from .gguf import GGUF, Tensor

_BITS = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}
_BLOCK = 32
_LAYER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_LAYER_NORMS = ("attn_norm", "ffn_norm")


class Llama:
    """Sizes of a Llama model, all from the metadata, and its tensors checked against them."""

    def __init__(self, gguf: GGUF):
        self.gguf = gguf
        architecture = gguf.get("general.architecture", str)
        if architecture != "llama":
            raise UnsupportedError(f"{gguf.path}: architecture '{architecture}' is not supported; supported: llama")
        self.layers = gguf.get("llama.block_count", int)
        self.width = gguf.get("llama.embedding_length", int)
        self.hidden = gguf.get("llama.feed_forward_length", int)
        self.heads = gguf.get("llama.attention.head_count", int)
        self.kv_heads = gguf.get("llama.attention.head_count_kv", int, self.heads)
        if min(self.layers, self.width, self.hidden, self.heads, self.kv_heads) < 1 or self.heads % self.kv_heads:
            raise InvalidInputError(f"{gguf.path}: {self.layers} layers of width {self.width} and {self.hidden} with {self.heads} heads "
                                    f"over {self.kv_heads} key heads do not make a model")
        self.head = gguf.get("llama.attention.key_length", int, self.width // self.heads)
        self.context = gguf.get("llama.context_length", int)
        self.theta = gguf.get("llama.rope.freq_base", float, 10000.0)
        self.epsilon = gguf.get("llama.attention.layer_norm_rms_epsilon", float)
        self.vocabulary = gguf.tensors["token_embd.weight"].shape[0] if "token_embd.weight" in gguf.tensors else 0
        self.tied = "output.weight" not in gguf.tensors
        self._check()

    def _expected(self) -> Iterator[tuple]:
        """Name, shape and whether it is a matrix of codes, of every tensor the model must have."""
        q, kv = self.heads * self.head, self.kv_heads * self.head
        shapes = dict(zip(_LAYER_MATRICES, ((q, self.width), (kv, self.width), (kv, self.width), (self.width, q), (self.hidden, self.width),
                                            (self.hidden, self.width), (self.width, self.hidden))))
        for layer in range(self.layers):
            for part in _LAYER_MATRICES:
                yield f"blk.{layer}.{part}.weight", shapes[part], True
            for part in _LAYER_NORMS:
                yield f"blk.{layer}.{part}.weight", (self.width,), False
        for name in ("token_embd.weight",) if self.tied else ("token_embd.weight", "output.weight"):
            yield name, (self.vocabulary, self.width), True
        yield "output_norm.weight", (self.width,), False

    def _check(self) -> None:
        path, tensors, expected = self.gguf.path, self.gguf.tensors, {}
        for name, shape, matrix in self._expected():
            expected[name] = matrix
            if name not in tensors:
                raise InvalidInputError(f"{path}: tensor '{name}' is missing")
            if tensors[name].shape != shape:
                raise InvalidInputError(f"{path}: tensor '{name}' has shape {list(tensors[name].shape)}; {list(shape)} is required")
        found = [f"tensor '{n}': {t.type}; {'Q4_0, Q4_1 or Q8_0' if expected[n] else 'F32, F16 or BF16'} is supported here"
                 for n, t in tensors.items() if n in expected and t.type not in (_BITS if expected[n] else ("F32", "F16", "BF16"))]
        found += [f"tensor '{n}' has no place in a plain Llama model" for n in tensors if n not in expected]
        if tensors["token_embd.weight"].type == "Q4_1":
            found.append("tensor 'token_embd.weight': Q4_1 has a minimum, which GatherBlockQuantized cannot hold")
        for layer in range(self.layers):
            kinds = {part: tensors[f"blk.{layer}.{part}.weight"].type for part in _LAYER_MATRICES[:3]}
            if len(set(kinds.values())) > 1:
                found.append(f"layer {layer}: q, k and v cannot be packed: {', '.join(f'{p} is {t}' for p, t in kinds.items())}")
        rope = self.gguf.metadata.get("llama.rope.dimension_count", self.head)
        if rope != self.head:
            found.append(f"llama.rope.dimension_count: rotary of {rope} of {self.head} dimensions")
        if (scaling := self.gguf.metadata.get("llama.rope.scaling.type", "none")) != "none":
            found.append(f"llama.rope.scaling.type: '{scaling}'")
        if found:
            raise UnsupportedError(f"{path}: {len(found)} things cannot be converted", found)

    def tensor(self, name: str) -> Tensor:
        return self.gguf.tensors[name + ".weight"]

    def rotary_table(self, function: Callable) -> np.ndarray:
        """cos or sin of position times frequency, [context, head / 2], computed in f32 as the exporters do."""
        exponent = np.arange(0, self.head, 2, dtype=np.float32) / self.head
        frequency = (1.0 / self.theta ** exponent).astype(np.float32)
        return function(np.arange(self.context, dtype=np.float32)[:, None] * frequency).astype(np.float32)


def node_path(name: str) -> str:
    """A weight's dotted name as the path that the exporters give its node: model.layers.0.attn -> /model/layers.0/attn."""
    return "/" + name.replace(".", "/").replace("/layers/", "/layers.", 1)


def half_split(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of one matrix from the interleaved rotary order (0, d/2, 1, d/2+1, ...) back to the half-split one (0, 1, ..., d/2, ...)."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def float_zero_points(scales: np.ndarray, minima: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points z with scale * (q - z) = scale * q + minimum.

    A block whose scale is 0 is constant and all its codes are 0: the minimum itself becomes the scale, and the zero point -1.
    """
    constant = scales == 0
    zero = np.divide(-minima, scales, out=np.full_like(scales, -1), where=~constant)
    return np.where(constant, minima, scales), zero


def quantized(model: Llama, names: list[str]) -> dict[str, np.ndarray]:
    """Inputs of MatMulNBits for matrices of one type concatenated along N: packed codes, scales and, for Q4_1, float zero points."""
    parts = []
    for name in names:
        part = model.tensor(name).blocks()
        heads = {"attn_q": model.heads, "attn_k": model.kv_heads}.get(name.rpartition(".")[2])
        parts.append(tuple(None if p is None else half_split(p, heads) for p in part) if heads else part)
    codes, scales = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    if _BITS[model.tensor(names[0]).type] == 4:
        codes = codes[..., 0::2] | (codes[..., 1::2] << 4)
    result = {"codes": codes, "scales": scales}
    if parts[0][2] is not None:
        result["scales"], result["zero_points"] = float_zero_points(scales, np.concatenate([p[2] for p in parts]))
    return result


class Builder:
    """Collects the nodes of the graph; large initializers go straight to the data file, 64-byte aligned."""

    def __init__(self, data, location: str):
        import onnx

        self.onnx, self.data, self.location = onnx, data, location
        self.nodes, self.initializers = [], []

    def node(self, kind: str, name: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def small(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def large(self, name: str, value: np.ndarray) -> str:
        value = np.ascontiguousarray(value)
        self.data.write(b"\0" * (-self.data.tell() % 64))
        tensor = self.onnx.TensorProto(name=name, dims=value.shape, data_location=self.onnx.TensorProto.EXTERNAL,
                                       data_type=self.onnx.helper.np_dtype_to_tensor_dtype(value.dtype))
        for key, entry in (("location", self.location), ("offset", self.data.tell()), ("length", value.nbytes)):
            tensor.external_data.add(key=key, value=str(entry))
        self.data.write(value.tobytes())
        self.initializers.append(tensor)
        return name

    def constant(self, value) -> str:
        """An int64 constant, made once, under the builder's own kind of name."""
        name = f"/model/constants/INT64/{value}"
        if not any(name in n.output for n in self.nodes):
            tensor = self.onnx.numpy_helper.from_array(np.array(value, np.int64))
            self.node("Constant", f"/model/constant_nodes/INT64/{value}", [], [name], value=tensor)
        return name

    def weight(self, name: str, arrays: dict[str, np.ndarray], bits: int) -> list[str]:
        """The weight inputs of MatMulNBits, stored under the builder's names."""
        names = [self.large(f"{name}.MatMul.weight_Q{bits}", arrays["codes"]), self.large(f"{name}.MatMul.weight_scales", arrays["scales"])]
        if "zero_points" in arrays:
            names.append(self.large(f"{name}.MatMul.weight_zero_points", arrays["zero_points"]))
        return names

    def matmul(self, name: str, x: str, weight: list[str], sizes: tuple, bits: int, output: str | None = None) -> str:
        (n, k), path = sizes, node_path(name)
        return self.node("MatMulNBits", f"{path}/MatMul_Q{bits}", [x, *weight], [output or f"{path}/MatMul/output_0"], "com.microsoft",
                         K=k, N=n, bits=bits, block_size=_BLOCK, accuracy_level=4)


def _mask_prologue(b: Builder) -> tuple[str, str]:
    """Lengths for attention from the mask: the last valid position of each row, and the padded length."""
    at = "/model/attn_mask_reformat/attn_mask_subgraph"
    total = b.node("ReduceSum", f"{at}/ReduceSum", ["attention_mask", b.constant([1])], [f"{at}/ReduceSum/output_0"], keepdims=0)
    last = b.node("Sub", f"{at}/Sub", [total, b.constant([1])], [f"{at}/Sub/output_0"])
    lengths = b.node("Cast", f"{at}/Sub/Cast", [last], [f"{at}/Sub/Cast/output_0"], to=b.onnx.TensorProto.INT32)
    shape = b.node("Shape", f"{at}/Shape", ["attention_mask"], [f"{at}/Shape/output_0"])
    padded = b.node("Gather", f"{at}/Gather", [shape, b.constant(1)], [f"{at}/Gather/output_0"], axis=0)
    return lengths, b.node("Cast", f"{at}/Gather/Cast", [padded], [f"{at}/Gather/Cast/output_0"], to=b.onnx.TensorProto.INT32)


def _embedding(b: Builder, m: Llama) -> tuple[str, list[str], int]:
    """The embedded tokens, and the head's weight with its bits; one tensor serves both when they are tied."""
    table_type, head_type = m.tensor("token_embd").type, m.tensor("token_embd" if m.tied else "output").type
    bits = _BITS[table_type]
    name = "lm_head" if m.tied else "model.embed_tokens"
    table = b.weight(name, quantized(m, ["token_embd"]), bits)
    flat = b.node("Reshape", "/model/embed_tokens/Reshape", [table[0], b.constant([m.vocabulary, m.width * bits // 8])],
                  ["/model/embed_tokens/Reshape/output_0"])
    x = b.node("GatherBlockQuantized", "/model/embed_tokens/GatherBlockQuantized", [flat, "input_ids", table[1]],
               ["/model/embed_tokens/GatherBlockQuantized/output_0"], "com.microsoft", bits=bits, block_size=_BLOCK, gather_axis=0,
               quantize_axis=1)
    head = table if m.tied else b.weight("lm_head", quantized(m, ["output"]), _BITS[head_type])
    return x, head, _BITS[head_type]


def _layer(b: Builder, m: Llama, index: int, x: str, residual: str, lengths: tuple, tables: list[str]) -> tuple[str, str]:
    """One decoder layer after its first norm: returns the sum before the last projection's addition, and that projection."""
    at, source = f"model.layers.{index}", f"blk.{index}"

    def project(name: str, x: str, parts: list[str], sizes: tuple) -> str:
        names = [f"{source}.{p}" for p in parts]
        bits = _BITS[m.tensor(names[0]).type]
        weight = b.weight(f"{at}.{name}", quantized(m, names), bits)
        return b.matmul(f"{at}.{name}", x, weight, sizes, bits)

    q, kv = m.heads * m.head, m.kv_heads * m.head
    qkv = project("attn.qkv_proj", x, ["attn_q", "attn_k", "attn_v"], (q + 2 * kv, m.width))
    node, past, present = f"{node_path(at)}/attn/GroupQueryAttention", f"past_key_values.{index}", f"present.{index}"
    context = b.node("GroupQueryAttention", node, [qkv, "", "", f"{past}.key", f"{past}.value", *lengths, *tables],
                     [f"{node}/output_0", f"{present}.key", f"{present}.value"], "com.microsoft", num_heads=m.heads,
                     kv_num_heads=m.kv_heads, scale=float(m.head ** -0.5), local_window_size=-1, softcap=0.0, do_rotary=1,
                     rotary_interleaved=0)
    out = project("attn.o_proj", context, ["attn_output"], (m.width, q))
    x, residual = _norm(b, m, f"{at}.post_attention_layernorm", f"{source}.ffn_norm", residual, out)
    gate = project("mlp.gate_proj", x, ["ffn_gate"], (m.hidden, m.width))
    up = project("mlp.up_proj", x, ["ffn_up"], (m.hidden, m.width))
    mlp = f"{node_path(at)}/mlp"
    sigmoid = b.node("Sigmoid", f"{mlp}/act_fn/Sigmoid", [gate], [f"{mlp}/act_fn/Sigmoid/output_0"])
    silu = b.node("Mul", f"{mlp}/act_fn/Mul", [gate, sigmoid], [f"{mlp}/act_fn/Mul/output_0"])
    product = b.node("Mul", f"{mlp}/Mul", [silu, up], [f"{mlp}/Mul/output_0"])
    return residual, project("mlp.down_proj", product, ["ffn_down"], (m.width, m.hidden))


def _norm(b: Builder, m: Llama, name: str, source: str, residual: str, x: str, last: bool = False) -> tuple[str, str]:
    """Adds x to the residual and normalizes the sum; the last norm does not return the sum."""
    weight = b.small(f"{name}.weight", m.tensor(source).values())
    path = node_path(name)
    outputs = [f"{path}/output_0"] if last else [f"{path}/output_0", "", "", f"{path}/output_3"]
    b.node("SkipSimplifiedLayerNormalization", f"{path}/SkipLayerNorm", [residual, x, weight], outputs, "com.microsoft", epsilon=m.epsilon)
    return outputs[0], outputs[-1]


def build(m: Llama, b: Builder, done: Callable[[int, int], None]):
    """The whole model as a ModelProto; `done(layer, layers)` is called after each layer."""
    helper, types = b.onnx.helper, b.onnx.TensorProto
    lengths = _mask_prologue(b)
    x, head, head_bits = _embedding(b, m)
    weight = b.small("model.layers.0.input_layernorm.weight", m.tensor("blk.0.attn_norm").values())
    residual = x
    x = b.node("SimplifiedLayerNormalization", "/model/layers.0/input_layernorm/LayerNorm", [x, weight],
               ["/model/layers.0/input_layernorm/output_0"], epsilon=m.epsilon, axis=-1, stash_type=1)
    tables = [b.large("cos_cache", m.rotary_table(np.cos)), b.large("sin_cache", m.rotary_table(np.sin))]
    for index in range(m.layers):
        residual, out = _layer(b, m, index, x, residual, lengths, tables)
        last = index + 1 == m.layers
        name = f"model.layers.{index + 1}." + ("final_norm_layernorm" if last else "input_layernorm")
        x, residual = _norm(b, m, name, "output_norm" if last else f"blk.{index + 1}.attn_norm", residual, out, last)
        done(index + 1, m.layers)
    b.matmul("lm_head", x, head, (m.vocabulary, m.width), head_bits, "logits")

    def caches(prefix: str, length: str) -> list:
        return [helper.make_tensor_value_info(f"{prefix}.{i}.{part}", types.FLOAT, ["batch_size", m.kv_heads, length, m.head])
                for i in range(m.layers) for part in ("key", "value")]

    inputs = [helper.make_tensor_value_info("input_ids", types.INT64, ["batch_size", "sequence_length"]),
              helper.make_tensor_value_info("attention_mask", types.INT64, ["batch_size", "total_sequence_length"]),
              *caches("past_key_values", "past_sequence_length")]
    outputs = [helper.make_tensor_value_info("logits", types.FLOAT, ["batch_size", "sequence_length", m.vocabulary]),
               *caches("present", "total_sequence_length")]
    graph = helper.make_graph(b.nodes, "main_graph", inputs, outputs, b.initializers)
    return helper.make_model(graph, ir_version=10, producer_name="whit",
                             opset_imports=[helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)])


def convert(source, output, done: Callable[[int, int], None] = lambda layer, layers: None) -> Path:
    """Convert a GGUF file; writes OUTPUT, OUTPUT.data and the tokenizer beside it, or nothing at all.

    Returns the path of the model. Raises UnsupportedError naming every tensor that cannot be carried over.
    """
    from .tokens import write_tokenizer

    output = Path(output)
    gguf = GGUF(source)
    model = Llama(gguf)
    if not output.parent.is_dir():
        raise FileError(f"{output.parent}: the folder to write to does not exist")
    data_name = output.name + ".data"
    graph_part, data_part = (output.with_name(f".{name}.{os.getpid()}.part") for name in (output.name, data_name))
    parts = {data_part: output.with_name(data_name), graph_part: output}
    try:
        with open(data_part, "wb") as data:
            proto = build(model, Builder(data, data_name), done)
        graph_part.write_bytes(proto.SerializeToString(deterministic=True))
        write_tokenizer(gguf, output.parent)
        for part, final in parts.items():
            os.replace(part, final)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return output
