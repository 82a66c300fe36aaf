# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One ONNX file per operator that is made element by element, and one per thing that is refused of them.

usage: more_operators.py FOLDER
"""

import sys

import numpy as np
from models import I64, Folder, constant, model, node, value
from onnx import TensorProto

U8, BOOL = TensorProto.UINT8, TensorProto.BOOL


def ints(name, *numbers):
    return constant(name, np.array(numbers, np.int64))


def main(out):
    x, image = value("x", ["n", 4]), value("x", ["n", 4, 8, 8])

    def save(name, op, inputs, result, values, constants=(), opset=24, **attributes):
        out.save(name, model([node(op, inputs, ["z"], f"/{op}", **attributes)], values, [value("z", *result)], list(constants), opset=opset))

    # What they mean.
    save("asinh", "Asinh", ["x"], (["n", 4],), [x])
    save("shift", "BitShift", ["x", "y"], (["n"], U8), [value("x", ["n"], U8), value("y", ["n"], U8)], direction="RIGHT")
    save("drop", "Dropout", ["x"], (["n", 4],), [x])
    save("max_pool", "MaxPool", ["x"], (["n", 4, 4, 4],), [image], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    save("global_pool", "GlobalAveragePool", ["x"], (["n", 4, 1, 1],), [image])
    save("instance", "InstanceNormalization", ["x", "s", "b"], (["n", 4, 8, 8],), [image],
         [constant("s", np.ones(4, np.float32)), constant("b", np.ones(4, np.float32))])
    save("depth", "DepthToSpace", ["x"], (["n", 1, 16, 16],), [image], blocksize=2)
    save("reflect", "Pad", ["x", "p"], (["n", 7],), [x], [ints("p", 0, 1, 0, 2)], mode="reflect")
    save("resize", "Resize", ["x", "", "s"], (["n", 4, 4, 8],), [image], [constant("s", np.array([1, 1, 0.5, 1], np.float32))], mode="linear")
    save("eye", "EyeLike", ["x"], (["n", 4],), [x], k=1)
    save("window", "HannWindow", ["s"], ([4],), [], [constant("s", np.int64(4))])
    save("running", "CumSum", ["x", "a"], (["n", 4],), [x], [ints("a", 1)], exclusive=1)
    save("most", "ArgMax", ["x"], (["n", 1], I64), [x], axis=1, select_last_index=1)
    save("by_index", "GatherElements", ["x", "i"], (["n", 2],), [x, value("i", ["n", 2], I64)], axis=1)
    save("put", "ScatterElements", ["x", "i", "u"], (["n", 4],), [x, value("i", ["n", 2], I64), value("u", ["n", 2])], axis=1, reduction="add")
    save("loss", "NegativeLogLikelihoodLoss", ["x", "t"], ([],), [x, value("t", ["n"], I64)], ignore_index=2)

    # What is refused.
    save("bad_direction", "BitShift", ["x", "y"], (["n"], U8), [value("x", ["n"], U8), value("y", ["n"], U8)], direction="UP")
    save("training", "Dropout", ["x", "r", "t"], (["n", 4],), [x], [constant("r", np.float32(0.5)), constant("t", np.bool_(True))])
    save("bad_pool", "MaxPool", ["x"], (["n", 4, 1, 1],), [image], kernel_shape=[9, 9])
    save("no_kernel", "AveragePool", ["x"], (["n", 4, 1, 1],), [image])
    save("bad_block", "DepthToSpace", ["x"], (["n", 1, 16, 16],), [image], blocksize=3)
    save("bad_pads", "Pad", ["x", "p"], (["n", 7],), [x], [ints("p", 1, 2)])
    save("bad_scales", "Resize", ["x", "", "s"], (["n", 4, 4, 8],), [image], [constant("s", np.array([1, 1, 0.5], np.float32))])
    save("bad_symbol", "Resize", ["x", "", "s"], (["n", 4],), [x], [constant("s", np.array([2, 1], np.float32))])
    save("bad_eye", "EyeLike", ["x"], (["n", 4, 8, 8],), [image])
    save("bad_window", "HannWindow", ["s"], ([0],), [], [constant("s", np.int64(0))])
    save("bad_k", "TopK", ["x", "k"], (["n", 5],), [x], [ints("k", 5)])
    save("bad_target", "NegativeLogLikelihoodLoss", ["x", "t"], ([],), [x, value("t", ["n", 4], I64)])
    save("bad_indices", "GatherElements", ["x", "i"], (["n"],), [x, value("i", ["n"], I64)])


if __name__ == "__main__":
    main(Folder(sys.argv[1]))
