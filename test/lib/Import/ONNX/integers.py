# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX files with integers that are held in another type: unsigned ones, and those of fewer than 8 bits.

usage: integers.py FOLDER
"""

import sys

import numpy as np
from models import F32, U8, Folder, constant, model, node, value
from onnx import TensorProto

I4, U4, I8, U32 = TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8, TensorProto.UINT32
F8, E8 = TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E8M0


def elementwise():
    """Operators on two inputs of 8 bits without a sign; output names say which."""
    nodes, results = [], []
    for op in ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min"):
        nodes.append(node(op, ["x", "y"], [op], f"/{op}"))
        results.append(value(op, ["n", 24], U8))
    for op in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"):
        nodes.append(node(op, ["x", "y"], [op], f"/{op}"))
        results.append(value(op, ["n", 24], TensorProto.BOOL))
    for name, kind in (("float", F32), ("int8", I8), ("int32", TensorProto.INT32), ("uint32", U32), ("bool", TensorProto.BOOL)):
        nodes.append(node("Cast", ["x"], [name], f"/{name}", to=kind))
        results.append(value(name, ["n", 24], kind))
    nodes += [node("Where", ["Less", "x", "y"], ["Where"], "/where"), node("Clip", ["x", "low", "high"], ["Clip"], "/clip"),
              node("Concat", ["x", "Where"], ["Concat"], "/concat", axis=1), node("Slice", ["x", "from", "to", "by", "step"], ["Slice"], "/slice"),
              node("Gather", ["x", "picks"], ["Gather"], "/gather", axis=1), node("Transpose", ["Gather"], ["Transpose"], "/transpose"),
              node("ReduceMax", ["x", "by"], ["ReduceMax"], "/most", keepdims=0), node("ReduceMin", ["x", "by"], ["ReduceMin"], "/least", keepdims=0),
              node("Cast", ["halves"], ["rounded"], "/rounded", to=U8)]
    results += [value("Where", ["n", 24], U8), value("Clip", ["n", 24], U8), value("Concat", ["n", 48], U8), value("Slice", ["n", 8], U8),
                value("Gather", ["n", 3], U8), value("Transpose", [3, "n"], U8), value("ReduceMax", ["n"], U8), value("ReduceMin", ["n"], U8),
                value("rounded", ["n", 24], U8)]
    ints = {"from": [-1], "to": [-100], "by": [1], "step": [-3], "picks": [0, 23, 5]}
    constants = [constant("low", np.uint8(100)), constant("high", np.uint8(200)), *(constant(k, np.array(v, np.int64)) for k, v in ints.items())]
    inputs = [value("x", ["n", 24], U8), value("y", ["n", 24], U8), value("halves", ["n", 24])]
    return model(nodes, inputs, results, constants)


def quantized(kind, shape=(), axis=1, block=0, zero=None):
    """Codes of x, and what they mean; codes of fewer than 8 bits are shown in 8."""
    wide = {I4: I8, U4: U8, TensorProto.INT2: I8, TensorProto.UINT2: U8, TensorProto.UINT16: TensorProto.INT32}.get(kind, kind)
    size = {"axis": axis, "block_size": block} if block else {"axis": axis}
    rest, more = ["scale"], [value("scale", list(shape))]
    if zero is not None:
        rest.append("zero")
        nodes = [node("Cast", ["shift"], ["zero"], "/zero", to=kind)] if kind != wide else [node("Identity", ["shift"], ["zero"], "/zero")]
        more.append(value("shift", list(shape), wide))
    else:
        nodes, size = [], {**size}
    named = {} if zero is not None else {"output_dtype": kind}
    nodes += [node("QuantizeLinear", ["x", *rest], ["q"], "/quantize", **size, **named), node("DequantizeLinear", ["q", *rest], ["y"], "/dequantize", **size),
              node("Cast", ["q"], ["codes"], "/codes", to=wide)]
    return model(nodes, [value("x", ["n", 24]), *more], [value("y", ["n", 24]), value("codes", ["n", 24], wide)])


def main(out):
    out.save("elementwise", elementwise())
    out.save("uint8", quantized(U8, zero=True))
    out.save("uint4", quantized(U4, [24], zero=True))
    out.save("int4", quantized(I4))
    out.save("dynamic", model([node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], "/quantize")], [value("x", ["n", 24])],
                              [value("q", ["n", 24], U8), value("scale", []), value("zero", [], U8)]))
    # Folded while importing: 250 + 10 is 4, and 200 is more than 100.
    known = [node("Add", ["a", "b"], ["sum"], "/sum"), node("Greater", ["c", "d"], ["more"], "/more"),
             node("Cast", ["minus"], ["wrapped"], "/wrapped", to=U4), node("Cast", ["wrapped"], ["shown"], "/shown", to=U8)]
    out.save("known", model(known, [], [value("sum", [1], U8), value("more", [1], TensorProto.BOOL), value("shown", [1], U8)],
                            [*(constant(k, np.uint8(v)) for k, v in zip("abcd", (250, 10, 200, 100))), constant("minus", np.int32(-2))]))

    def one(name, op, inputs, outputs, constants=(), **attributes):
        out.save(name, model([node(op, [v.name for v in inputs] + [c.name for c in constants], ["y"], f"/{op}", **attributes)], inputs, outputs, constants))

    one("packed_input", "Cast", [value("x", ["n"], U4)], [value("y", ["n"])], to=F32)
    one("packed_output", "Cast", [value("x", ["n"])], [value("y", ["n"], I4)], to=I4)
    one("floats", "QuantizeLinear", [value("x", ["n"])], [value("y", ["n"], F8)], [constant("scale", np.float32(1))], output_dtype=F8)
    one("bits", "BitCast", [value("x", ["n"])], [value("y", ["n"], TensorProto.INT32)], to=TensorProto.INT32)

    # What is refused.
    one("mixed", "Add", [value("x", ["n"], U8), value("z", ["n"], I8)], [value("y", ["n"], U8)])
    one("signs", "Neg", [value("x", ["n"], U8)], [value("y", ["n"], U8)])
    out.save("packed_sum", model([node("Cast", ["x"], ["q"], "/cast", to=I4), node("Add", ["q", "q"], ["y"], "/add")], [value("x", ["n"])], [value("y", ["n"], I4)]))
    one("two_types", "QuantizeLinear", [value("x", ["n"])], [value("y", ["n"], I8)], [constant("scale", np.float32(1)), constant("zero", np.uint8(1))], output_dtype=I8)
    one("powers", "QuantizeLinear", [value("x", ["n"])], [value("y", ["n"], E8)], [constant("scale", np.float32(1))], output_dtype=E8)
    one("small_sum", "Add", [value("x", ["n"], F8), value("z", ["n"], F8)], [value("y", ["n"], F8)])
    one("other_bits", "BitCast", [value("x", ["n"])], [value("y", ["n"], I8)], to=I8)


if __name__ == "__main__":
    main(Folder(sys.argv[1]))
