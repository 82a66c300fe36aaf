# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One ONNX file per operator on data, and one per thing that is refused.

usage: operators.py FOLDER
"""

import sys

import numpy as np
from models import F32, I32, I64, Folder, constant, model, node, value
from onnx import TensorProto

BOOL, F16 = TensorProto.BOOL, TensorProto.FLOAT16


def ints(name, *numbers):
    return constant(name, np.array(numbers, np.int64))


def main(out):
    x, y, matrix = value("x", ["n", 4]), value("y", ["n", 4]), value("m", [4, 6])

    def save(name, op, inputs, result, values, constants=(), outputs=("z",), opset=23, **attributes):
        results = [value("z", *result)] if outputs == ("z",) else [value(o, *r) for o, r in zip(outputs, result)]
        out.save(name, model([node(op, inputs, list(outputs), f"/{op}", **attributes)], values, results, list(constants), opset=opset))

    # What they mean.
    save("where", "Where", ["c", "x", "y"], (["n", 4],), [value("c", ["n", 1], BOOL), x, y])
    save("less", "Less", ["x", "y"], (["n", 4], BOOL), [x, y])
    save("half", "Exp", ["x"], (["n", 4], F16), [value("x", ["n", 4], F16)])
    save("divide", "Div", ["x", "y"], (["n"], I32), [value("x", ["n"], I32), value("y", ["n"], I32)])
    save("square", "Pow", ["x", "two"], (["n", 4],), [x], [constant("two", np.float32(2))])
    save("gelu", "Gelu", ["x"], (["n", 4],), [x], approximate="tanh")
    save("mean", "ReduceMean", ["x", "axes"], (["n"],), [x], [ints("axes", -1)], keepdims=0)
    save("mean_attribute", "ReduceMean", ["x"], (["n", 1],), [x], opset=13, axes=[1])
    save("softmax", "Softmax", ["x"], (["n", 4],), [x], axis=0)
    save("layer_norm", "LayerNormalization", ["x", "w"], (["n", 4],), [x], [constant("w", np.ones(4, np.float32))])
    save("gemm", "Gemm", ["x", "w", "b"], (["n", 6],), [x], [constant("w", np.ones((6, 4), np.float32)), constant("b", np.ones(6, np.float32))],
         transB=1, alpha=0.5)
    save("matmul", "MatMul", ["x", "y"], (["n", "h", "s", "t"],), [value("x", ["n", "h", "s", 8]), value("y", ["n", "h", 8, "t"])])
    save("take", "Gather", ["x", "i"], ([4, "k"],), [value("x", [4, "n"]), value("i", ["k"], I64)], axis=1)
    save("scatter", "ScatterND", ["x", "i", "u"], (["n", 4],), [x, value("i", ["k", 1], I64), value("u", ["k", 4])])
    save("trilu", "Trilu", ["m"], ([4, 6],), [matrix], upper=0)
    save("conv", "Conv", ["x", "w"], (["n", 6, "s"],), [value("x", ["n", 4, "s"])], [constant("w", np.ones((6, 4, 3), np.float32))], pads=[1, 1])
    heads = [value(name, ["n", 2, size, 8]) for name, size in (("q", "s"), ("k", "t"), ("v", "t"))]
    save("attention", "Attention", ["q", "k", "v", "mask"], (["n", 2, "s", 8],), [*heads, value("mask", ["s", "t"], BOOL)])
    save("dequantize", "DequantizeLinear", ["w", "scale", "zero"], ([4, 6],), [], [constant("w", np.full((4, 6), 200, np.uint8)),
         constant("scale", np.ones((2, 6), np.float32)), constant("zero", np.full((2, 6), 128, np.uint8))], axis=0, block_size=2)

    # What is refused.
    save("bad_axis", "Softmax", ["x"], (["n", 4],), [x], axis=2)
    save("old_softmax", "Softmax", ["x"], (["n", 4],), [x], opset=11, axis=1)
    save("bad_type", "Sqrt", ["x"], (["n"], I32), [value("x", ["n"], I32)])
    save("bad_bool", "And", ["x", "y"], (["n", 4], BOOL), [x, y])
    save("bad_depth", "MatMul", ["m", "w"], ([4, 5],), [matrix], [constant("w", np.ones((4, 5), np.float32))])
    save("bad_depth2", "MatMul", ["x", "m"], (["n", 6],), [value("x", ["n", 5]), matrix])
    save("bad_gelu", "Gelu", ["x"], (["n", 4],), [x], approximate="fast")
    save("bad_saturate", "Cast", ["x"], (["n", 4], I32), [x], to=I32, saturate=7)
    save("bad_round", "Cast", ["x"], (["n", 4], I32), [x], to=I32, round_mode="away")
    save("bad_axes", "ReduceSum", ["x", "axes"], (["n"],), [x], [ints("axes", 1, -1)])
    save("bad_reduction", "ScatterND", ["x", "i", "u"], (["n", 4],), [x, value("i", ["k", 1], I64), value("u", ["k", 4])], reduction="xor")
    save("bad_positions", "GatherND", ["x", "i"], (["k"],), [x, value("i", ["k", 3], I64)])
    save("bad_batch", "GatherND", ["x", "i"], (["k"],), [x, value("i", ["k", 1], I64)], batch_dims=-1)
    save("bad_pads", "Conv", ["x", "w"], (["n", 6, "s"],), [value("x", ["n", 4, "s"])], [constant("w", np.ones((6, 4, 3), np.float32))], pads=[1])
    save("bad_kernel", "Conv", ["x", "w"], (["n", 6, 1],), [value("x", ["n", 4, 2])], [constant("w", np.ones((6, 4, 3), np.float32))])
    save("bad_group", "Conv", ["x", "w"], (["n", 6, "s"],), [value("x", ["n", 4, "s"])], [constant("w", np.ones((6, 4, 3), np.float32))], group=4)
    save("bad_heads", "Attention", ["q", "k", "v"], (["n", "s", 24],), [value(name, ["n", "s", 24]) for name in "qkv"], q_num_heads=5, kv_num_heads=1)
    save("bad_window", "Attention", ["q", "k", "v"], (["n", 2, "s", 8],), heads, opset=25, left_window_size=-2)
    save("bad_mode", "Attention", ["q", "k", "v"], (["n", 2, "s", 8],), heads, qk_matmul_output_mode=4)
    save("bad_block", "DequantizeLinear", ["w", "scale"], ([4, 6],), [], [constant("w", np.full((4, 6), 1, np.int8)),
         constant("scale", np.ones((3, 6), np.float32))], axis=0, block_size=2)
    save("short", "Abs", ["x"], (["n"], TensorProto.UINT16), [value("x", ["n"], TensorProto.UINT16)])


if __name__ == "__main__":
    main(Folder(sys.argv[1]))
