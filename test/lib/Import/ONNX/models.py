# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small ONNX files for the tests of this folder.

usage: models.py GROUP FOLDER     writes the files of a group (a function below) into FOLDER
       models.py same A.npz B.npz  fails unless both hold the same numbers
"""

import os
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F32, I64, I32, U8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8
MS = "com.microsoft"


def value(name, shape, kind=F32):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, array):
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def model(nodes, inputs, outputs, constants=(), opset=21):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    return helper.make_model(
        graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)], producer_name="test"
    )


def node(op, inputs, outputs, name, domain="", **attributes):
    return helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes)


class Folder:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def save(self, name, proto, external=False):
        place = self.path / f"{name}.onnx"
        for old in (place, self.path / f"{name}.data"):
            old.unlink(missing_ok=True)
        if external:
            onnx.save(proto, place, save_as_external_data=True, location=f"{name}.data", size_threshold=0)
        else:
            place.write_bytes(proto.SerializeToString())
        return place


# ------------------------------------------------------------------------------------------------ quantized weights


def blocks(n, k, bits, block, zeros):
    """Random inputs B, scales, zero_points of MatMulNBits for an n x k matrix."""
    random = np.random.default_rng(bits)
    count = -(-k // block)
    parts = [
        constant("codes", random.integers(0, 256, (n, count, block * bits // 8), dtype=np.uint8)),
        constant("scales", random.standard_normal((n, count)).astype(np.float32)),
    ]
    if zeros == "packed":
        parts.append(constant("zeros", random.integers(0, 256, n * -(-count * bits // 8), dtype=np.uint8)))
    elif zeros == "float":
        parts.append(constant("zeros", random.random((n, count)).astype(np.float32)))
    return parts


def nbits(n=8, k=64, bits=4, block=32, zeros=None, extra=(), more=(), rows=("batch", "sequence"), **attributes):
    parts = blocks(n, k, bits, block, zeros)
    names = ["x"] + [part.name for part in parts] + list(extra)
    matmul = node("MatMulNBits", names, ["y"], "/proj/MatMul", MS, **{"K": k, "N": n, "bits": bits, "block_size": block, **attributes})
    return model([matmul], [value("x", [*rows, k])], [value("y", [*rows, n])], [*parts, *more])


def quantized(out):
    for bits in range(1, 9):
        out.save(f"signed{bits}", nbits(bits=bits))
    for bits in (2, 4, 8):
        out.save(f"packed{bits}", nbits(bits=bits, zeros="packed"))
        out.save(f"float{bits}", nbits(bits=bits, zeros="float"))
    out.save("ragged", nbits(k=80, block=32))
    out.save("bias", nbits(extra=["", "", "bias"], more=[constant("bias", np.ones(8, np.float32))]))
    out.save("ordered", nbits(extra=["", "order"], more=[constant("order", np.arange(64, dtype=np.int32) // 32)]))
    out.save("shuffled", nbits(extra=["", "order"], more=[constant("order", np.arange(64, dtype=np.int32) % 2)]))
    order = np.arange(64, dtype=np.int32) // 32
    for name, indices in {"crowded": np.maximum(order - (np.arange(64) == 32), 0), "stranger": order + 2 * (np.arange(64) == 5)}.items():
        out.save(name, nbits(extra=["", "order"], more=[constant("order", indices.astype(np.int32))]))
    out.save("longs", nbits(extra=["", "order"], more=[constant("order", order.astype(np.int64))]))
    out.save("prepacked", nbits(weight_prepacked=1))
    out.save("block48", nbits(k=96, block=48))
    out.save("bits9", _attribute(nbits(), "bits", 9))
    out.save("shape", _attribute(nbits(), "N", 9))
    half = nbits()
    half.graph.initializer[1].CopyFrom(constant("scales", numpy_helper.to_array(half.graph.initializer[1]).astype(np.float16)))
    out.save("half", half)


def _attribute(proto, name, number):
    for attribute in proto.graph.node[0].attribute:
        if attribute.name == name:
            attribute.i = number
    return proto


# ------------------------------------------------------------------------------------------------ dequantized weights


def packed(name, codes, bits, signed):
    """A stored tensor of integers, those narrower than a byte packed over the whole tensor, the first in the lowest bits."""
    codes = np.asarray(codes)
    planes = (codes.reshape(-1)[:, None] >> np.arange(bits)) & 1
    raw = np.packbits(planes.astype(np.uint8).reshape(-1), bitorder="little").tobytes()
    kind = {(2, True): 26, (2, False): 25, (4, True): TensorProto.INT4, (4, False): TensorProto.UINT4, (8, True): TensorProto.INT8, (8, False): U8}
    return helper.make_tensor(name, kind[bits, signed], codes.shape, raw, raw=True)


def qdq(n=24, k=64, bits=8, signed=True, per="tensor", block=32, zeros=None, rows=False, use="MatMul", scale=np.float32):
    """x times DequantizeLinear of codes [k, n] (`rows`: [n, k], which Gemm, Transpose and Gather take)."""
    random = np.random.default_rng([n, k, bits, rows])
    shape = (n, k) if rows else (k, n)
    axis, across = (1, 0) if rows else (0, 1)  # of K and of N
    low = -(2 ** (bits - 1)) if signed else 0
    count = list(shape)
    count[axis] = -(-k // block)
    count = {"tensor": [], "channel": [n], "block": count}[per]
    parts = [packed("codes", random.integers(low, low + 2**bits, shape), bits, signed),
             constant("scales", (0.01 + random.random(count) / 50).astype(scale))]
    if zeros is not None:
        given = random.integers(low, low + 2**bits, count) if zeros == "random" else np.full(count, zeros)
        parts.append(packed("zeros", given, bits, signed))
    attributes = {"tensor": {}, "channel": {"axis": across}, "block": {"axis": axis, "block_size": block}}[per]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(scale))
    nodes = [node("DequantizeLinear", [part.name for part in parts], ["w"], "/proj/Dequantize", **attributes)]
    x, y = value("x", ["rows", k], kind), value("y", ["rows", n], kind)
    if use == "Gather":
        x, y = value("x", ["rows"], I64), value("y", ["rows", k], kind)
        nodes.append(node("Gather", ["w", "x"], ["y"], "/embed"))
    elif use == "Add":
        x, y = value("x", [1, 1], kind), value("y", shape, kind)
        nodes.append(node("Add", ["w", "x"], ["y"], "/add"))
    elif use == "Transpose":
        nodes += [node("Transpose", ["w"], ["t"], "/turn", perm=[1, 0]), node("MatMul", ["x", "t"], ["y"], "/proj")]
    elif use == "Gemm":
        nodes.append(node("Gemm", ["x", "w"], ["y"], "/proj", transB=int(rows)))
    else:
        nodes.append(node("MatMul", ["x", "w"], ["y"], "/proj"))
    return model(nodes, [x], [y], parts, opset=25 if bits == 2 else 21)


def dequantized(out):
    out.save("tensor", qdq())
    out.save("tensor_zero", qdq(zeros=0))
    out.save("tensor_shifted", qdq(zeros=3))
    out.save("unsigned", qdq(signed=False))
    out.save("middle", qdq(signed=False, zeros=128))
    out.save("channel", qdq(per="channel"))
    out.save("blocks", qdq(bits=4, per="block", scale=np.float16))
    out.save("blocks_zeros", qdq(bits=4, per="block", signed=False, zeros="random"))
    out.save("two", qdq(bits=2, per="block"))
    out.save("gemm", qdq(bits=4, per="block", rows=True, use="Gemm"))
    out.save("transposed", qdq(per="channel", rows=True, use="Transpose"))
    out.save("table", qdq(per="channel", rows=True, use="Gather"))
    out.save("large", qdq(n=512, k=256))
    out.save("few", qdq(bits=4, per="block", block=8))
    out.save("many", qdq(n=512, k=256, bits=4, per="block", block=8))
    fields = qdq(per="channel")
    fields.graph.initializer.append(helper.make_tensor("zeros", TensorProto.INT8, [24], range(24)))
    fields.graph.node[0].input.append("zeros")
    out.save("fields", fields)
    field = qdq()
    field.graph.initializer.append(helper.make_tensor("zeros", TensorProto.INT8, [], [-3]))
    field.graph.node[0].input.append("zeros")
    out.save("field", field)


# ------------------------------------------------------------------------------------------------ embeddings


def embedding(out):
    parts = blocks(16, 64, 4, 32, None)
    shape = helper.make_tensor("table_shape", I64, [2], [16, 32])
    nodes = [
        node("Constant", [], ["shape"], "/shape", value=shape),
        node("Reshape", ["codes", "shape"], ["table"], "/embed/Reshape"),
        node("GatherBlockQuantized", ["table", "ids", "scales"], ["h"], "/embed/Gather", MS, bits=4, block_size=32, gather_axis=0, quantize_axis=1),
        node("MatMulNBits", ["h", "codes", "scales"], ["logits"], "/head/MatMul", MS, K=64, N=16, bits=4, block_size=32),
    ]
    inputs = [value("ids", ["batch", "sequence"], I64)]
    out.save("tied", model(nodes, inputs, [value("logits", ["batch", "sequence", 16])], parts))
    table = constant("table", np.arange(12, dtype=np.float32).reshape(4, 3))
    out.save("float", model([node("Gather", ["table", "ids"], ["y"], "/embed")], inputs, [value("y", ["batch", "sequence", 3])], [table]))
    weight = constant("weight", np.arange(12, dtype=np.float32).reshape(3, 4))
    out.save("matmul", model([node("MatMul", ["x", "weight"], ["y"], "/dense")], [value("x", ["rows", 3])], [value("y", ["rows", 4])], [weight]))


# ------------------------------------------------------------------------------------------------ attention


def attention_model(packed=True, past=True, rotary=True, heads=4, kv=2, depth=8, inputs_more=(), names_more=(), depth_name=None, **attributes):
    q = [value("qkv", ["batch", "sequence", (heads + 2 * kv) * depth])]
    names = ["qkv", "", ""]
    if not packed:
        q = [value(n, ["batch", "sequence", h * depth]) for n, h in (("q", heads), ("k", kv), ("v", kv))]
        names = ["q", "k", "v"]
    inputs = q + [value("lengths", ["batch"], I32), value("mask", ["batch", "total"], I64)]
    names += ["past.key", "past.value"] if past else ["", ""]
    if past:
        inputs += [value(n, ["batch", kv, "past", depth_name or depth]) for n in ("past.key", "past.value")]
    names += ["lengths", "total"]
    constants = []
    if rotary:
        names += ["cos", "sin"]
        constants = [constant(n, np.ones((16, depth // 2), np.float32)) for n in ("cos", "sin")]
        attributes["do_rotary"] = 1
    if names_more:
        names += [""] * (9 - len(names)) + list(names_more)
    nodes = [
        node("Shape", ["mask"], ["shape"], "/Shape"),
        node("Gather", ["shape", "one"], ["size"], "/Gather"),
        node("Cast", ["size"], ["total"], "/Cast", to=I32),
        node("GroupQueryAttention", names, ["y", "present.key", "present.value"], "/attn", MS, num_heads=heads, kv_num_heads=kv, **attributes),
    ]
    outputs = [value("y", ["batch", "sequence", heads * depth])]
    outputs += [value(n, ["batch", kv, "total", depth]) for n in ("present.key", "present.value")]
    return model(nodes, inputs + list(inputs_more), outputs, [*constants, helper.make_tensor("one", I64, [], [1])])


def attention(out):
    out.save("packed", attention_model(depth_name="head_size"))
    out.save("separate", attention_model(packed=False, rotary_interleaved=1, scale=0.5, softcap=30.0, local_window_size=7))
    out.save("plain", attention_model(past=False, rotary=False))
    out.save(
        "refused",
        attention_model(
            smooth_softmax=1, k_quant_type="PER_TENSOR", mystery=3, names_more=["positions", "bias"],
            inputs_more=[value("positions", ["batch", "sequence"], I64), value("bias", ["batch", 1, "sequence", "total"])],
        ),
    )
    out.save("heads", attention_model(heads=3))
    out.save("partial", _half_rotary(attention_model()))
    data = attention_model(inputs_more=[value("total", [], I32)])
    del data.graph.node[:3]
    out.save("total", data)


def _half_rotary(proto):
    for tensor in proto.graph.initializer:
        if tensor.name in ("cos", "sin"):
            tensor.CopyFrom(constant(tensor.name, np.ones((16, 2), np.float32)))
    return proto


# ------------------------------------------------------------------------------------------------ norms, elementwise, shapes


def norms(out):
    gamma = constant("gamma", np.ones(8, np.float32))
    bias = constant("bias", np.ones(8, np.float32))
    inputs = [value("x", ["batch", "sequence", 8]), value("skip", ["batch", "sequence", 8])]
    result = [value("y", ["batch", "sequence", 8])]
    simple = node("SimplifiedLayerNormalization", ["x", "gamma"], ["y"], "/norm", axis=-1, epsilon=1e-6, stash_type=1)
    out.save("simple", model([simple], inputs[:1], result, [gamma]))
    skip = node("SkipSimplifiedLayerNormalization", ["x", "skip", "gamma", "bias"], ["y", "", "", "sum"], "/skip", MS, epsilon=1e-6)
    out.save("skip", model([skip], inputs, result + [value("sum", ["batch", "sequence", 8])], [gamma, bias]))
    statistics = node("SkipSimplifiedLayerNormalization", ["x", "skip", "gamma"], ["y", "mean"], "/skip", MS)
    out.save("mean", model([statistics], inputs, result, [gamma]))


def elementwise(out):
    x, y = value("x", ["batch", "n"]), value("y", [1, "n"])
    two = constant("two", np.array(2, np.float32))
    chain = [
        node("Add", ["x", "y"], ["a"], "/add"),
        node("Sigmoid", ["a"], ["b"], "/sigmoid"),
        node("Mul", ["a", "b"], ["c"], "/mul"),
        node("Div", ["c", "two"], ["d"], "/half"),
        node("Cast", ["d"], ["z"], "/cast", to=I32),
    ]
    out.save("chain", model(chain, [x, y], [value("z", ["batch", "n"], I32)], [two]))
    out.save("other", model([node("Add", ["x", "y"], ["z"], "/add")], [x, value("y", ["batch", "m"])], [value("z", ["batch", "n"])]))
    out.save("types", model([node("Add", ["x", "y"], ["z"], "/add")], [x, value("y", ["n"], I32)], [value("z", ["batch", "n"])]))


def metadata(out):
    proto = model([node("Abs", ["x"], ["y"], "/Abs")], [value("x", ["n"])], [value("y", ["n"])])
    helper.set_model_props(proto, {"names": "{0: 'café'}", "empty": "", "long": "x" * 70000})
    out.save("metadata", proto)


def shapes(out):
    x = value("x", ["batch", "sequence", 12])
    ints = lambda name, *values: helper.make_tensor(name, I64, [len(values)], values)
    constants = [ints("zero", 0), ints("two", 2), ints("heads", 3, 4), ints("open", -1), ints("last", 2)]
    split = [
        node("Shape", ["x"], ["shape"], "/Shape"),
        node("Slice", ["shape", "zero", "two"], ["front"], "/Slice"),
        node("Concat", ["front", "heads"], ["target"], "/Concat", axis=0),
        node("Reshape", ["x", "target"], ["h"], "/split"),
        node("Transpose", ["h"], ["t"], "/Transpose", perm=[0, 2, 1, 3]),
    ]
    out.save("split", model(split, [x], [value("t", ["batch", 3, "sequence", 4])], constants))
    flat = [node("Concat", ["open", "last"], ["target"], "/Concat", axis=0), node("Reshape", ["x", "target"], ["y"], "/flat")]
    flat += [node("Reshape", ["y", "back"], ["z"], "/back")]
    out.save("merge", model(flat, [value("x", ["batch", 4])], [value("z", ["batch", 4])], constants + [ints("back", -1, 4)]))
    axes = [node("Unsqueeze", ["x", "zero"], ["u"], "/Unsqueeze"), node("Squeeze", ["u", "zero"], ["y"], "/Squeeze")]
    out.save("axes", model(axes, [x], [value("y", ["batch", "sequence", 12])], constants))
    total = [node("ReduceSum", ["x", "last"], ["y"], "/ReduceSum", keepdims=1)]
    out.save("sum", model(total, [x], [value("y", ["batch", "sequence", 1])], constants))
    unlike = [node("Shape", ["m"], ["shape"], "/Shape"), node("Reshape", ["x", "shape"], ["y"], "/Reshape")]
    out.save("unlike", model(unlike, [value("x", ["a", "b"]), value("m", ["b", "c"])], [value("y", ["b", "c"])]))


# ------------------------------------------------------------------------------------------------ known values


def ints(name, *values, kind=I64):
    return helper.make_tensor(name, kind, [len(values)], values)


class Expressions:
    """A model that grows by calls: e.Add(a, b) adds a node and gives the name of its output."""

    def __init__(self, inputs):
        self.inputs, self.nodes, self.constants, self.outputs = inputs, [], [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def __getattr__(self, op):
        def call(*operands, outputs=1, **attributes):
            names = [operand if isinstance(operand, str) else self.constant(operand) for operand in operands]
            results = [f"{op}{len(self.nodes)}.{i}" for i in range(outputs)]
            self.nodes.append(node(op, names, results, "/" + results[0], **attributes))
            return results[0] if outputs == 1 else results

        return call

    def give(self, name, kind, rank):
        self.outputs.append(value(name, [None] * rank, kind))

    def save(self, out, name, arrays, opset=21):
        """The model, inputs, and what the reference of ONNX makes of them."""
        from onnx.reference import ReferenceEvaluator

        # The shapes of outputs are left to the importer.
        for output in self.outputs:
            output.type.tensor_type.ClearField("shape")
        proto = model(self.nodes, self.inputs, self.outputs, self.constants, opset)
        out.save(name, proto)
        np.savez(out.path / f"{name}.in.npz", **arrays)
        results = ReferenceEvaluator(proto).run(None, arrays)
        np.savez(out.path / f"{name}.ref.npz", **{output.name: array for output, array in zip(self.outputs, results)})


def known(out):
    x = np.zeros((2, 3, 64), np.float32)
    f32, i64, i32 = np.float32, np.int64, np.int32

    def start():
        return Expressions([value("x", ["batch", "sequence", 64])])

    # Numbers: nothing is left of these but constants.
    e = start()
    size = e.Shape("x")
    depth = e.Gather(size, np.array(2, i64), axis=0)
    root = e.Sqrt(e.Cast(depth, to=F32))
    e.give(e.Div(np.array(1, f32), root), F32, 0)
    e.give(e.Sqrt(e.Cast(e.Add(depth, np.array(2, i64)), to=F32)), F32, 0)
    e.give(e.Sqrt(np.array(3, np.float16)), TensorProto.FLOAT16, 0)
    e.give(e.Cast(np.array([1e9, 16777217], np.float64), to=F32), F32, 1)
    e.give(e.Cast(np.array([-2.9, 2.9], f32), to=I32), I32, 1)
    e.give(e.Cast(np.array([300, -300], i64), to=TensorProto.INT8), TensorProto.INT8, 1)
    e.give(e.Pow(np.array([0.1, 7], f32), np.array(2, f32)), F32, 1)
    e.give(e.Pow(np.array([2, 4], f32), np.array(0.5, f32)), F32, 1)
    a, b = np.array([7, -7, 7, -7], i64), np.array([2, 2, -2, -2], i64)
    for op in ("Add", "Sub", "Mul", "Mod", "Min", "Max"):
        e.give(getattr(e, op)(a, b), I64, 1)
    e.give(e.Mod(a, b, fmod=1), I64, 1)
    e.give(e.Div(np.array([7, 8, 9], i64), np.array([2], i64)), I64, 1)
    e.give(e.Add(np.array([2147483647], i32), np.array([1], i32)), I32, 1)
    for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        e.give(getattr(e, op)(np.array([1, 2, 3], i64), np.array(2, i64)), TensorProto.BOOL, 1)
        e.give(getattr(e, op)(np.array([1, np.nan, 3], f32), np.array(2, f32)), TensorProto.BOOL, 1)
    t, f = np.array([True, True, False, False]), np.array([True, False, True, False])
    for op in ("And", "Or", "Xor"):
        e.give(getattr(e, op)(t, f), TensorProto.BOOL, 1)
    e.give(e.Not(t), TensorProto.BOOL, 1)
    e.give(e.Where(t, a, b), I64, 1)
    e.give(e.Neg(a), I64, 1)
    e.give(e.Abs(np.array([-3.5, 2], f32)), F32, 1)
    square = np.arange(1, 7, dtype=i64).reshape(2, 3)
    e.give(e.ReduceSum(square, np.array([1], i64), keepdims=0), I64, 1)
    e.give(e.ReduceProd(square, np.array([0], i64), keepdims=1), I64, 2)
    e.give(e.ReduceMax(square), I64, 2)
    e.give(e.Transpose(square, perm=[1, 0]), I64, 2)
    e.give(e.Concat(square, square, axis=1), I64, 2)
    e.give(e.Slice(square, np.array([-1, 2], i64), np.array([-9, -9], i64), np.array([0, 1], i64), np.array([-1, -2], i64)), I64, 2)
    e.give(e.Tile(square, np.array([2, 1], i64)), I64, 2)
    e.give(e.Expand(np.array([[1], [2]], i64), np.array([2, 3], i64)), I64, 2)
    e.give(e.Gather(square, np.array([[2, 0], [-1, 1]], i64), axis=1), I64, 3)
    e.give(e.Range(np.array(10, i64), np.array(0, i64), np.array(-3, i64)), I64, 1)
    e.give(e.Range(np.array(0, f32), np.array(1, f32), np.array(0.3, f32)), F32, 1)
    e.give(e.ConstantOfShape(np.array([2, 2], i64), value=constant("", np.array([True]))), TensorProto.BOOL, 2)
    for part in e.Split(np.array([1, 2, 3, 4, 5], i64), outputs=2, axis=0, num_outputs=2):
        e.give(part, I64, 1)
    e.save(out, "numbers", {"x": x})

    # Sizes: what is left are index values.
    e = start()
    size = e.Shape("x")
    batch, sequence = (e.Gather(size, np.array(i, i64), axis=0) for i in (0, 1))
    row = e.Mul(sequence, np.array(64, i64))
    target = e.Concat(e.Unsqueeze(batch, np.array([0], i64)), e.Unsqueeze(row, np.array([0], i64)), axis=0)
    ones = e.ConstantOfShape(e.Shape(target), value=constant("", np.array([1], i64)))
    chosen = e.Where(e.Equal(target, e.Mul(ones, np.array(-1, i64))), ones, target)
    e.give(chosen, I64, 1)
    e.give(e.Reshape("x", chosen), F32, 2)
    e.give(e.Div(row, np.array(64, i64)), I64, 0)
    e.give(e.Size("x"), I64, 0)
    e.give(e.Less(sequence, np.array(0, i64)), TensorProto.BOOL, 0)
    e.give(e.Sub(e.Add(batch, sequence), batch), I64, 0)
    e.give(e.Min(e.Add(sequence, np.array(1, i64)), sequence), I64, 0)
    e.give(e.Shape("x", start=-2, end=2), I64, 1)
    e.save(out, "sizes", {"x": x})

    # What is not certain is left to the program, or refused.
    def refused(name, make, shape=("batch", "sequence", 64)):
        e = Expressions([value("x", shape), value("n", [1], I64)])
        e.give(*make(e))
        out.save(name, model(e.nodes, e.inputs, e.outputs, e.constants))

    refused("data", lambda e: (e.Reshape("x", "n"), F32, 1))
    refused("range", lambda e: (e.Range(np.array(0, i64), e.Squeeze("n"), np.array(1, i64)), I64, 1))
    refused("negative", lambda e: (e.ConstantOfShape(e.Sub(e.Shape("x"), np.array([1], i64))), F32, 3))
    refused("zero", lambda e: (e.Range(np.array(0, i64), np.array(8, i64), np.array(0, i64)), I64, 1))
    refused("uneven", lambda e: (e.Split("x", outputs=2, axis=1)[0], F32, 3))
    refused("sum", lambda e: (e.Split("x", np.array([1, 2], i64), outputs=2, axis=2)[0], F32, 3))
    refused("expand", lambda e: (e.Expand("x", np.array([2, 3, 5], i64)), F32, 3))
    refused("concat", lambda e: (e.Concat("x", np.zeros((1, 1, 7), np.float32), axis=0), F32, 3), (1, 1, 8))
    refused("axis", lambda e: (e.Concat("x", "x", axis=3), F32, 3))


def moves(out):
    x = np.arange(2 * 6 * 4, dtype=np.float32).reshape(2, 6, 4)
    i64 = np.int64
    e = Expressions([value("x", ["batch", "sequence", 4]), value("y", ["batch", "more", 4])])
    size = e.Shape("x")
    sequence = e.Slice(size, np.array([1], i64), np.array([2], i64))
    both = e.Concat("x", "y", axis=-2)
    e.give(both, F32, 3)
    end = np.array([2**63 - 1], i64)
    e.give(e.Slice(both, sequence, end, np.array([1], i64)), F32, 3)
    e.give(e.Slice("x", np.array([-1, 1], i64), np.array([-(2**63), 9], i64), np.array([1, 2], i64), np.array([-2, 2], i64)), F32, 3)
    e.give(e.Slice("x", np.array([-3], i64), np.array([-1], i64), np.array([2], i64)), F32, 3)
    e.give(e.Slice("x", np.array([1], i64), np.array([4], i64), np.array([1], i64)), F32, 3)
    e.give(e.Slice("x", np.array([9], i64), np.array([12], i64), np.array([2], i64)), F32, 3)
    for part in e.Split("x", outputs=2, axis=-1):
        e.give(part, F32, 3)
    for part in e.Split("x", np.array([1, 3], i64), outputs=2, axis=2):
        e.give(part, F32, 3)
    e.give(e.Expand(e.Unsqueeze("x", np.array([0], i64)), e.Concat(np.array([3], i64), size, axis=0)), F32, 4)
    e.give(e.Tile("x", np.array([1, 2, 3], i64)), F32, 3)
    e.give(e.Flatten("x", axis=2), F32, 2)
    e.give(e.Flatten("x", axis=0), F32, 2)
    e.give(e.Squeeze(e.Unsqueeze("x", np.array([0, 2], i64)), np.array([2], i64)), F32, 4)
    e.give(e.Identity("x"), F32, 3)
    e.give(e.ConstantOfShape(e.Shape("y"), value=constant("", np.array([3], i64))), I64, 3)
    count = e.Range(np.array(1, i64), e.Squeeze(sequence), np.array(2, i64))
    e.give(count, I64, 1)
    e.give(e.Unsqueeze(count, np.array([0, 2], i64)), I64, 3)
    places = e.Slice(np.arange(512, dtype=i64).reshape(1, 512), np.array([0], i64), sequence, np.array([1], i64))
    e.give(places, I64, 2)
    e.save(out, "data", {"x": x, "y": -x[:, :3]})

    # Attributes, before they became inputs.
    old = Expressions([value("x", ["batch", 1, 4])])
    old.give(old.Squeeze("x", axes=[1]), F32, 2)
    old.give(old.Unsqueeze("x", axes=[0]), F32, 4)
    for part in old.Split("x", outputs=2, axis=2, split=[1, 3]):
        old.give(part, F32, 3)
    old.save(out, "old", {"x": x[:, :1]}, opset=11)
    cut = Expressions([value("x", ["batch", 1, 4])])
    cut.give(cut.Slice("x", starts=[1], ends=[3], axes=[2]), F32, 3)
    cut.save(out, "older", {"x": x[:, :1]}, opset=9)

    # Position embeddings: the sequence may not be longer than the table, or the sum would not fit.
    table = constant("table", np.arange(32, dtype=np.float32).reshape(8, 4))
    nodes = [
        node("Shape", ["x"], ["size"], "/Shape", start=1, end=2),
        node("Slice", ["table", "zero", "size", "zero"], ["rows"], "/Slice"),
        node("Add", ["x", "rows"], ["y"], "/Add"),
    ]
    out.save("longest", model(nodes, [value("x", ["batch", "sequence", 4])], [value("y", ["batch", "sequence", 4])], [table, ints("zero", 0)]))


def sums(out):
    """Dimensions that are called like sums."""
    cache = value("past", ["batch", 2, "past_length", 4])

    def save(name, inputs, of="mask"):
        e = Expressions(inputs)
        size = e.Add(e.Shape("past", start=2, end=3), e.Shape("x", start=1, end=2))
        e.give(e.Reshape(of, size), I64, 1)
        e.outputs[0].type.tensor_type.shape.dim[0].dim_param = "past_length + sequence"
        out.save(name, model(e.nodes, e.inputs, e.outputs, e.constants))

    x, mask = value("x", ["batch", "sequence"], I64), value("mask", ["past_length + sequence"], I64)
    save("cache", [x, mask, cache])
    save("free", [x, mask, value("past", ["batch", 2, "past_length"], I64)])
    save("other", [x, value("mask", ["past_length + tokens"], I64), cache])
    e = Expressions([x, value("mask", ["batch", "past_length + sequence"], I64), cache])
    e.give(e.Reshape("mask", np.array([-1], np.int64)), I64, 1)
    out.save("product", model(e.nodes, e.inputs, e.outputs, e.constants))
    e = Expressions([x])
    size = e.Shape("x", start=1, end=2)
    count = e.Add(e.Mul(size, np.array([2], np.int64)), np.array([1], np.int64))
    e.give(e.ConstantOfShape(count), F32, 1)
    e.give(e.ConstantOfShape(e.Div(count, np.array([3], np.int64))), F32, 1)
    e.save(out, "output", {"x": np.zeros((2, 5), np.int64)})


    # Compiled, the runtime checks what the caller gives.
    names = {"x": "sequence", "past": "past_length", "mask": "past_length + sequence"}
    e = Expressions([value(name, ["batch", dim]) for name, dim in names.items()])
    for name in names:
        e.give(e.Exp(name), F32, 2)
    e.save(out, "stateless", {name: np.ones((2, n), np.float32) for name, n in zip(names, (3, 4, 7))})
    np.savez(out.path / "wrong.npz", **{name: np.ones((2, n), np.float32) for name, n in zip(names, (3, 4, 8))})


# ------------------------------------------------------------------------------------------------ branches


def branches(out):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    def graph(name, nodes, output, constants=(), inputs=()):
        return helper.make_graph(nodes, name, list(inputs), [helper.make_tensor_value_info(output, F32, None)], list(constants))

    def twice(output="twice"):
        two = constant("two", np.array(2, np.float32))
        return graph("then", [node("Mul", ["x", "two"], [output], "/then/Mul")], output, [two])

    def plus(output="plus", inner="unknown"):
        nodes = [node("Exp", ["x"], [inner], "/else/Exp"), node("Add", ["x", inner], [output], "/else/Add")]
        return graph("else", nodes, output)

    def save(name, condition, yes, no, arrays=None, extra=()):
        e = Expressions([value("x", ["batch", 3]), *extra])
        cond = condition(e)
        e.give(e.If(cond, then_branch=yes, else_branch=no), F32, 2)
        if arrays is None:
            out.save(name, model(e.nodes, e.inputs, e.outputs, e.constants))
        else:
            e.save(out, name, arrays)

    wide = lambda e: e.Equal(e.Gather(e.Shape("x"), np.array(1, np.int64)), np.array(3, np.int64))
    narrow = lambda e: e.Not(wide(e))
    positive = lambda e: e.Greater(e.ReduceSum("x", keepdims=0), np.array(0, np.float32))
    save("yes", wide, twice(), plus(), {"x": x})
    save("no", narrow, twice(), plus(), {"x": x})
    # What is not taken is not looked at, and what is not supported is only refused where it is.
    strange = graph("strange", [node("Frobnicate", ["x"], ["s"], "/strange", "org.example")], "s")
    save("unused", wide, twice(), strange)
    save("used", narrow, twice(), strange)
    # One inside of another, which sees both of what is around it.
    inner = graph("outer", [node("Neg", ["x"], ["minus"], "/Neg"), node("If", ["flag"], ["z"], "/inner", then_branch=graph("in", [node("Add", ["x", "minus"], ["w"], "/in/Add")], "w"), else_branch=plus())], "z", [constant("flag", np.array(True))])
    save("nested", wide, inner, plus(), {"x": x})
    # The other branch of these has whole results, which can be compared.
    square = graph("square", [node("Mul", ["x", "x"], ["xx"], "/else/Mul")], "xx")
    for name, sign in (("positive", 1), ("negative", -1)):
        save(name, positive, twice(), square, {"x": np.float32(sign) * x})
    cut = graph("cut", [node("Slice", ["x", "one", "end", "one"], ["c"], "/Slice")], "c", [ints("one", 1), ints("end", 2)])
    save("sizes", positive, twice(), cut)
    save("merged", lambda e: "use_cache", twice(), cut, extra=[value("use_cache", [1], TensorProto.BOOL)])
    whole = graph("whole", [node("Cast", ["x"], ["i"], "/Cast", to=I64), node("Div", ["i", "i"], ["d"], "/Div"), node("Cast", ["d"], ["f"], "/Back", to=F32)], "f")
    save("division", positive, twice(), whole)
    save("input", wide, graph("then", [node("Neg", ["a"], ["b"], "/Neg")], "b", inputs=[value("a", [3])]), plus())
    save("count", wide, helper.make_graph([], "none", [], []), plus())
    save("outside", lambda e: (e.If(wide(e), then_branch=twice("seen"), else_branch=plus()), e.nodes.append(node("Neg", ["seen"], ["late"], "/late")), wide(e))[2], twice("other"), plus("more", "most"))
    deep = twice()
    for level in range(10):
        deep = graph(f"g{level}", [node("If", ["flag"], [f"z{level}"], f"/if{level}", then_branch=deep, else_branch=twice())], f"z{level}")
    save("deep", wide, deep, plus())


def same(first, second):
    a, b = np.load(first), np.load(second)
    wrong = sorted(set(a.files) ^ set(b.files))
    for name in set(a.files) & set(b.files):
        x, y = a[name], b[name]
        if x.shape != y.shape or x.tolist() != y.tolist():
            wrong.append(f"{name}: {x.shape} {x.tolist()} and {y.shape} {y.tolist()}")
    if wrong:
        sys.exit("\n".join(wrong))


# ------------------------------------------------------------------------------------------------ stored tensors, bad files


def weights(out):
    def use(tensor):
        return model([node("Add", ["x", "w"], ["y"], "/add")], [value("x", ["rows", 3])], [value("y", ["rows", 3])], [tensor])

    w = np.array([1, 2, 3], np.float32)
    out.save("raw", use(constant("w", w)))
    out.save("external", use(constant("w", w)), external=True)
    out.save("floats", use(helper.make_tensor("w", F32, [3], w)))
    literal = node("Constant", [], ["w"], "/w", value=constant("", w))
    nodes = [literal, node("Add", ["x", "w"], ["y"], "/add")]
    out.save("literal", model(nodes, [value("x", ["rows", 3])], [value("y", ["rows", 3])]))


def unsupported(out):
    nodes = [
        node("Frobnicate", ["x"], ["a"], "/one", "org.example"),
        node("Frobnicate", ["a"], ["b"], "/two", "org.example"),
        node("Lstm", ["b"], ["c"], "/lstm"),
        node("Sigmoid", ["x"], ["d"], "/sigmoid", colour=1),
        node("Cast", ["d"], ["e"], "/cast", to=TensorProto.COMPLEX64),
        node("Add", ["c", "e"], ["y"], "/add"),
    ]
    out.save("operators", model(nodes, [value("x", ["n"])], [value("y", ["n"])]))
    out.save("opset", model(nodes[3:4], [value("x", ["n"])], [value("d", ["n"])], opset=999))
    out.save("string", model([node("Identity", ["s"], ["y"], "/id")], [value("s", ["n"], TensorProto.STRING)], [value("y", ["n"], TensorProto.STRING)]))


def broken(out):
    def use(tensor, *more):
        return model([node("Add", ["x", "w"], ["y"], "/add")], [value("x", ["rows", 3])], [value("y", ["rows", 3])], [tensor, *more])

    w = constant("w", np.array([1, 2, 3], np.float32))
    whole = use(w).SerializeToString()
    (out.path / "truncated.onnx").write_bytes(whole[:-20])
    (out.path / "text.onnx").write_text("this is no model")
    (out.path / "empty.onnx").write_bytes(b"")
    out.save("missing", use(w), external=True)
    (out.path / "missing.data").unlink()
    out.save("short", use(w), external=True)
    (out.path / "short.data").write_bytes(b"\0" * 11)
    secret = out.path.parent / "secret.data"
    if not secret.exists():
        secret.write_bytes(b"\0" * 12)

    def elsewhere(name, location):
        proto = use(w)
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        out.save(name, proto)

    elsewhere("parent", "../secret.data")
    elsewhere("absolute", str(secret.resolve()))
    for name in ("link", "hard", "folder"):
        place = out.path / f"{name}.bin"
        if not place.exists() and not place.is_symlink():
            {"link": lambda p: os.symlink(secret, p), "hard": lambda p: os.link(secret, p), "folder": os.mkdir}[name](place)
        elsewhere(name, f"{name}.bin")
    both = use(w)
    both.graph.initializer[0].float_data.extend([4, 5, 6])
    out.save("both", both)
    out.save("twice", use(w, w))
    size = use(w)
    size.graph.initializer[0].dims[0] = 4
    out.save("size", size)
    huge = use(w)
    huge.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    out.save("huge", huge)
    out.save("order", model([node("Sigmoid", ["z"], ["y"], "/late")], [value("x", ["n"])], [value("y", ["n"])]))
    out.save("lying", model([node("Sigmoid", ["x"], ["y"], "/s")], [value("x", [4])], [value("y", [5])]))
    out.save("negative", model([node("Sigmoid", ["x"], ["y"], "/s")], [value("x", ["n"])], [value("y", [-5])]))
    out.save("vast", model([node("Sigmoid", ["x"], ["y"], "/s")], [value("x", [1 << 40, 1 << 40])], [value("y", None)]))
    out.save("absent", model([node("Sigmoid", ["x"], ["y"], "/s")], [value("x", [4])], [value("z", [4])]))


if __name__ == "__main__":
    if sys.argv[1] == "same":
        same(*sys.argv[2:])
    else:
        globals()[sys.argv[1]](Folder(sys.argv[2]))
