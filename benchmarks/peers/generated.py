# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A model of Llama's shape with 1.1 billion parameters of random int4 weights in groups of 32: about 620 MB, more than caches hold.

Codes and scales come from one seed. The ONNX file is that of ONNX Runtime's model builder (MatMulNBits, GroupQueryAttention), the GGUF file has
the same shapes in Q4_0. Matrices are random one by one and not the same numbers in both: only their sizes matter for time.
"""

import numpy

LARGE = {"hidden": 2048, "heads": 32, "kv_heads": 4, "head": 64, "layers": 22, "intermediate": 5632, "vocabulary": 32000, "context": 2048}
GROUP = 32
SCALE = 2.0**-8  # keeps activations of random weights finite through all layers
SEED = 20260101


def matrices():
    """(name, rows N, columns K) of every matrix of one layer."""
    hidden, q, kv = LARGE["hidden"], LARGE["heads"] * LARGE["head"], LARGE["kv_heads"] * LARGE["head"]
    return [("attn.qkv_proj", q + 2 * kv, hidden), ("attn.o_proj", hidden, q), ("mlp.gate_proj", LARGE["intermediate"], hidden),
            ("mlp.up_proj", LARGE["intermediate"], hidden), ("mlp.down_proj", hidden, LARGE["intermediate"])]


def parameters():
    """Weights of all matrices, the embedding once, which the head shares."""
    return LARGE["layers"] * sum(n * k for _, n, k in matrices()) + LARGE["vocabulary"] * LARGE["hidden"]


class OnnxWriter:
    """An ONNX graph whose tensors go to a file beside it."""

    def __init__(self, path):
        self.path, self.nodes, self.tensors = path, [], []
        self.random = numpy.random.default_rng(SEED)
        self.data = open(path.with_name(path.name + ".data"), "wb")

    def tensor(self, name, array):
        from onnx import StringStringEntryProto, TensorProto, helper
        self.data.write(b"\0" * (-self.data.tell() % 4096))  # pages, so that the file can be mapped
        place = {"location": self.path.name + ".data", "offset": str(self.data.tell()), "length": str(array.nbytes)}
        self.data.write(array.tobytes())
        self.tensors.append(TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape,
                                        data_location=TensorProto.EXTERNAL,
                                        external_data=[StringStringEntryProto(key=key, value=value) for key, value in place.items()]))
        return name

    def constant(self, name, *values):
        from onnx import numpy_helper
        self.tensors.append(numpy_helper.from_array(numpy.array(values, numpy.int64), name))
        return name

    def node(self, kind, inputs, outputs, domain="com.microsoft", **attributes):
        from onnx import helper
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=f"/{outputs[0]}", domain=domain, **attributes))
        return outputs[0]

    def weight(self, name, n, k):
        codes = numpy.frombuffer(self.random.bytes(n * k // 2), numpy.uint8).reshape(n, k // GROUP, GROUP // 2)
        scales = (SCALE * (0.5 + self.random.random((n, k // GROUP)))).astype(numpy.float32)
        return [self.tensor(f"{name}.MatMul.weight_Q4", codes), self.tensor(f"{name}.MatMul.weight_scales", scales)]

    def matmul(self, name, source, n, k):
        return self.node("MatMulNBits", [source, *self.weight(name, n, k)], [f"{name}/MatMul"], K=k, N=n, bits=4, block_size=GROUP,
                         accuracy_level=4)

    def norm(self, name):
        return self.tensor(f"{name}.weight", numpy.ones(LARGE["hidden"], numpy.float32))


def write_onnx(path):
    """Writes the model to `path` and its weights to `path`.data."""
    import onnx
    from onnx import TensorProto, helper
    w, hidden = OnnxWriter(path), LARGE["hidden"]
    w.node("ReduceSum", ["attention_mask", w.constant("axis", 1)], ["tokens"], "", keepdims=0)
    w.node("Sub", ["tokens", w.constant("one", 1)], ["last"], "")
    last = w.node("Cast", ["last"], ["last_token_index"], "", to=TensorProto.INT32)
    w.node("Shape", ["attention_mask"], ["mask_shape"], "")
    w.tensors.append(onnx.numpy_helper.from_array(numpy.array(1, numpy.int64), "second"))
    w.node("Gather", ["mask_shape", "second"], ["total"], "", axis=0)
    total = w.node("Cast", ["total"], ["total_tokens"], "", to=TensorProto.INT32)

    angles = numpy.outer(numpy.arange(LARGE["context"]), 10000.0 ** (-numpy.arange(0, LARGE["head"], 2) / LARGE["head"]))
    rotary = [w.tensor("cos_cache", numpy.cos(angles).astype(numpy.float32)), w.tensor("sin_cache", numpy.sin(angles).astype(numpy.float32))]

    head = w.weight("lm_head", LARGE["vocabulary"], hidden)
    rows = w.node("Reshape", [head[0], w.constant("rows", LARGE["vocabulary"], hidden // 2)], ["embed_tokens/Reshape"], "")
    stream = w.node("GatherBlockQuantized", [rows, "input_ids", head[1]], ["embed_tokens"], bits=4, block_size=GROUP, gather_axis=0,
                    quantize_axis=1)
    normed = w.node("SimplifiedLayerNormalization", [stream, w.norm("layers.0.input_layernorm")], ["layers.0.input_layernorm"], "", axis=-1,
                    epsilon=1e-5, stash_type=1)

    def add_and_norm(stream, update, name):
        outputs = [name, "", "", f"{name}.sum"]
        w.node("SkipSimplifiedLayerNormalization", [stream, update, w.norm(name)], outputs, epsilon=1e-5)
        return outputs[3], outputs[0]

    for i in range(LARGE["layers"]):
        layer, sizes = f"layers.{i}.", {name: (n, k) for name, n, k in matrices()}

        def matmul(name, source, layer=layer, sizes=sizes):
            return w.matmul(layer + name, source, *sizes[name])
        caches = [f"{{}}.{i}.{part}" for part in ("key", "value")]
        attended = w.node("GroupQueryAttention", [matmul("attn.qkv_proj", normed), "", "", *(c.format("past_key_values") for c in caches), last,
                                                  total, *rotary], [f"{layer}attn", *(c.format("present") for c in caches)],
                          num_heads=LARGE["heads"], kv_num_heads=LARGE["kv_heads"], scale=LARGE["head"]**-0.5, do_rotary=1)
        stream, normed = add_and_norm(stream, matmul("attn.o_proj", attended), layer + "post_attention_layernorm")
        gate = matmul("mlp.gate_proj", normed)
        w.node("Sigmoid", [gate], [f"{layer}mlp/Sigmoid"], "")
        w.node("Mul", [gate, f"{layer}mlp/Sigmoid"], [f"{layer}mlp/silu"], "")
        gated = w.node("Mul", [f"{layer}mlp/silu", matmul("mlp.up_proj", normed)], [f"{layer}mlp/gated"], "")
        stream, normed = add_and_norm(stream, matmul("mlp.down_proj", gated), f"layers.{i + 1}.input_layernorm")
    w.node("MatMulNBits", [normed, *head], ["logits"], K=hidden, N=LARGE["vocabulary"], bits=4, block_size=GROUP, accuracy_level=4)
    w.data.close()

    def value(name, type_, *dims):
        return helper.make_tensor_value_info(name, type_, dims)

    def all_caches(name, tokens):
        return [value(f"{name}.{i}.{part}", TensorProto.FLOAT, "batch_size", LARGE["kv_heads"], tokens, LARGE["head"])
                for i in range(LARGE["layers"]) for part in ("key", "value")]
    inputs = [value("input_ids", TensorProto.INT64, "batch_size", "sequence_length"),
              value("attention_mask", TensorProto.INT64, "batch_size", "total_sequence_length"),
              *all_caches("past_key_values", "past_sequence_length")]
    outputs = [value("logits", TensorProto.FLOAT, "batch_size", "sequence_length", LARGE["vocabulary"]),
               *all_caches("present", "total_sequence_length")]
    graph = helper.make_graph(w.nodes, "llama", inputs, outputs, w.tensors)
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)]), path)


def write_gguf(path):
    """Writes the same shapes for llama.cpp, every matrix in Q4_0: blocks of 32, an f16 scale and 16 bytes of codes."""
    import gguf
    random = numpy.random.default_rng(SEED)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(LARGE["context"])
    writer.add_embedding_length(LARGE["hidden"])
    writer.add_block_count(LARGE["layers"])
    writer.add_feed_forward_length(LARGE["intermediate"])
    writer.add_head_count(LARGE["heads"])
    writer.add_head_count_kv(LARGE["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(LARGE["head"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(LARGE["vocabulary"])

    def matrix(name, n, k):
        block = numpy.dtype([("scale", "<f2"), ("codes", "u1", GROUP // 2)])
        blocks = numpy.empty((n, k // GROUP), block)
        blocks["scale"] = SCALE * (0.5 + random.random(blocks.shape))
        blocks["codes"] = numpy.frombuffer(random.bytes(n * k // 2), numpy.uint8).reshape(blocks["codes"].shape)
        writer.add_tensor(name, blocks.view(numpy.uint8).reshape(n, -1), raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def norm(name):
        writer.add_tensor(name, numpy.ones(LARGE["hidden"], numpy.float32))
    kv = LARGE["kv_heads"] * LARGE["head"]
    matrix("token_embd.weight", LARGE["vocabulary"], LARGE["hidden"])
    norm("output_norm.weight")
    for i in range(LARGE["layers"]):
        norm(f"blk.{i}.attn_norm.weight")
        norm(f"blk.{i}.ffn_norm.weight")
        for name, n, k in (("attn_q", LARGE["hidden"], LARGE["hidden"]), ("attn_k", kv, LARGE["hidden"]), ("attn_v", kv, LARGE["hidden"]),
                           ("attn_output", LARGE["hidden"], LARGE["hidden"]), ("ffn_gate", LARGE["intermediate"], LARGE["hidden"]),
                           ("ffn_up", LARGE["intermediate"], LARGE["hidden"]), ("ffn_down", LARGE["hidden"], LARGE["intermediate"])):
            matrix(f"blk.{i}.{name}.weight", n, k)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
