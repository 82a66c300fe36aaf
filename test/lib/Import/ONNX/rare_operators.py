# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One ONNX file per operator that loops, samples, folds or transforms, and one per thing that is refused of them.

usage: rare_operators.py FOLDER
"""

import sys

import numpy as np
import onnx
from models import F32, I64, Folder, constant, model, node, value
from onnx import TensorProto

I8, I32, BOOL = TensorProto.INT8, TensorProto.INT32, TensorProto.BOOL


def ints(name, *numbers):
    return constant(name, np.array(numbers, np.int64))


def ones(name, *shape):
    return constant(name, np.ones(shape, np.float32))


def running_sum(extra=()):
    """The body of a Scan: the sum so far, and what was added."""
    typed = [onnx.helper.make_tensor_value_info(name, F32, [4]) for name in ("s", "e", "s2", "o")]
    return onnx.helper.make_graph([node("Add", ["s", "e"], ["s2"], "/add"), node("Identity", ["s2"], ["o"], "/out"), *extra], "body", typed[:2], typed[2:])


def counted(condition):
    """The body of a Loop that adds its step to a sum; `condition` is what says whether it goes on."""
    info = onnx.helper.make_tensor_value_info
    nodes = [node("Cast", ["i"], ["f"], "/f", to=F32), node("Add", ["s", "f"], ["s2"], "/sum"), *condition]
    return onnx.helper.make_graph(nodes, "body", [info("i", I64, []), info("c", BOOL, []), info("s", F32, [4])],
                                  [info("c2", BOOL, []), info("s2", F32, [4])])


def main(out):
    x, image = value("x", ["n", 4]), value("x", ["n", 4, 8, 8])

    def save(name, op, inputs, result, values, constants=(), opset=24, domain="", **attributes):
        out.save(name, model([node(op, inputs, ["z"], f"/{op}", domain=domain, **attributes)], values, [value("z", *result)], list(constants), opset=opset))

    steps = value("x", [3, "n", 4])
    # What they mean.
    out.save("scan", model([node("Scan", ["x0", "x"], ["s", "z"], "/scan", body=running_sum(), num_scan_inputs=1)], [value("x", [3, 4])],
                           [value("s", [4]), value("z", [3, 4])], [ones("x0", 4)]))
    goes = [node("Identity", ["c"], ["c2"], "/c")]
    out.save("loop", model([node("Loop", ["m", "go", "x"], ["z"], "/loop", body=counted(goes))], [value("x", [4])], [value("z", [4])],
                           [constant("m", np.int64(3)), constant("go", np.bool_(True))]))
    save("rnn", "RNN", ["x", "w", "r"], ([3, 1, "n", 5],), [steps], [ones("w", 1, 5, 4), ones("r", 1, 5, 5)], hidden_size=5)
    save("gru", "GRU", ["x", "w", "r", "b", "l"], ([3, 2, "n", 5],), [steps, value("l", ["n"], I32)],
         [ones("w", 2, 15, 4), ones("r", 2, 15, 5), ones("b", 2, 30)], hidden_size=5, direction="bidirectional", linear_before_reset=1)
    save("lstm", "LSTM", ["x", "w", "r", "", "", "", "", "p"], ([3, 1, "n", 5],), [steps], [ones("w", 1, 20, 4), ones("r", 1, 20, 5), ones("p", 1, 15)], hidden_size=5)
    save("linear", "LinearAttention", ["q", "k", "v"], (["n", 2, 8],), [value("q", ["n", 2, 8]), value("k", ["n", 2, 4]), value("v", ["n", 2, 4])],
         opset=27, q_num_heads=2, kv_num_heads=1, update_rule="linear")
    save("causal", "CausalConvWithState", ["x", "w"], (["n", 4, 8],), [value("x", ["n", 4, 8])], [ones("w", 4, 1, 3)], opset=27, activation="silu")
    save("swiglu", "SwiGLU", ["x", "y"], (["n", 4],), [x, value("y", ["n", 4])], opset=28)
    save("tokens", "TensorScatter", ["x", "u", "i"], (["n", 8, 4],), [value("x", ["n", 8, 4]), value("u", ["n", 2, 4]), value("i", ["n"], I64)], mode="circular")
    save("grid", "GridSample", ["x", "g"], (["n", 4, 5, 6],), [image, value("g", ["n", 5, 6, 2])], mode="cubic", padding_mode="reflection")
    save("affine", "AffineGrid", ["t", "s"], ([2, 5, 6, 2],), [value("t", [2, 2, 3])], [ints("s", 2, 3, 5, 6)])
    save("roi", "RoiAlign", ["x", "r", "i"], (["m", 4, 2, 2],), [image, value("r", ["m", 4]), value("i", ["m"], I64)], output_height=2, output_width=2, sampling_ratio=2)
    save("deform", "DeformConv", ["x", "w", "o"], (["n", 5, 7, 7],), [image, value("o", ["n", 8, 7, 7])], [ones("w", 5, 4, 2, 2)])
    save("fold", "Col2Im", ["x", "i", "b"], (["n", 2, 5, 5],), [value("x", ["n", 8, 16])], [ints("i", 5, 5), ints("b", 2, 2)])
    save("up", "ConvTranspose", ["x", "w"], (["n", 5, 17, 17],), [image], [ones("w", 4, 5, 3, 3)], strides=[2, 2])
    save("unpool", "MaxUnpool", ["x", "i"], (["n", 4, 16, 16],), [image, value("i", ["n", 4, 8, 8], I64)], kernel_shape=[2, 2], strides=[2, 2])
    save("crop", "CenterCropPad", ["x", "s"], (["n", 4, 6, 10],), [image], [ints("s", 6, 10)], axes=[2, 3])
    save("qmatmul", "QLinearMatMul", ["x", "s", "o", "w", "s", "o", "s", "o"], (["n", 3], I8), [value("x", ["n", 4], I8)],
         [constant("s", np.float32(0.5)), constant("o", np.int8(1)), constant("w", np.ones((4, 3), np.int8))])
    save("conv_integer", "ConvInteger", ["x", "w"], (["n", 5, 6, 6], I32), [value("x", ["n", 4, 8, 8], I8)], [constant("w", np.ones((5, 4, 3, 3), np.int8))])
    save("dft", "DFT", ["x"], (["n", 5, 2],), [value("x", ["n", 8, 1])], onesided=1, opset=17)
    save("stft", "STFT", ["x", "s", "w"], (["n", 4, 3, 2],), [value("x", ["n", 10, 1])], [constant("s", np.int64(2)), ones("w", 4)])
    save("einsum", "Einsum", ["x", "y"], (["n", 3],), [x, value("y", [3, 4])], equation="...j, kj -> ...k")
    save("trace", "Einsum", ["x"], (["n"],), [value("x", ["n", 4, 4])], equation="bii->b")
    save("det", "Det", ["x"], (["n"],), [value("x", ["n", 3, 3])])
    save("adam", "Adam", ["r", "t", "x", "g", "v", "h"], (["n", 4],),
         [value("r", []), value("t", [], I64), *(value(name, ["n", 4]) for name in "xgvh")], domain="ai.onnx.preview.training")

    heads = [value(name, ["n", 2, "s", 8]) for name in "qkv"]
    save("window", "Attention", ["q", "k", "v"], (["n", 2, "s", 8],), heads, opset=25, left_window_size=3, right_window_size=1)
    info = onnx.helper.make_tensor_value_info
    half = onnx.helper.make_graph([node("Constant", [], ["h"], "/h", value=onnx.helper.make_tensor("h", F32, [], [0.5])), node("Mul", ["e", "h"], ["o"], "/half")],
                                  "mod", [info("e", F32, None)], [info("o", F32, None)])
    save("flex", "FlexAttention", ["q", "k", "v"], (["n", 2, "s", 8],), heads, domain="ai.onnx.preview", score_mod=half)
    save("mod", "Mod", ["x", "y"], (["n", 4],), [x, value("y", ["n", 4])])

    grams = {"mode": "TFIDF", "min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 1, "ngram_counts": [0, 2], "ngram_indexes": [0, 1, 2],
             "pool_int64s": [5, 6, 7, 8], "weights": [1.0, 2.0, 3.0]}
    save("grams", "TfIdfVectorizer", ["x"], (["n", 3],), [value("x", ["n", "t"], I64)], **grams)
    save("features", "ArrayFeatureExtractor", ["x", "y"], (["n", 2],), [x], [ints("y", 3, 0)], domain="ai.onnx.ml")
    save("binarizer", "Binarizer", ["x"], (["n", 4],), [x], domain="ai.onnx.ml", threshold=0.5)

    # What is refused.
    save("bad_grams", "TfIdfVectorizer", ["x"], (["n", 3],), [value("x", ["n", "t"], I64)], **{**grams, "ngram_counts": [0, 1]})
    save("bad_flex", "FlexAttention", ["q", "k", "v"], (["n", 2, "s", 8],), heads, domain="ai.onnx.preview", softmax_precision=7)
    save("scan8", "Scan", ["", "x0", "x"], ([3, 4],), [value("x", [3, 4])], [ones("x0", 4)], opset=8, body=running_sum(), num_scan_inputs=1)
    out.save("long_scan", model([node("Scan", ["x0", "x"], ["s", "z"], "/scan", body=running_sum(), num_scan_inputs=1)], [value("x", ["t", 4])],
                                [value("s", [4]), value("z", ["t", 4])], [ones("x0", 4)]))
    # Each of four loops, one in another, makes a hundred steps.
    inner = None
    for depth in range(4):
        info = onnx.helper.make_tensor_value_info
        last = node("Identity" if inner is None else "Loop", *([[f"s{depth}"], [f"r{depth}"], f"/body{depth}"] if inner is None else
                                                               [["m", "", f"s{depth}"], [f"r{depth}"], f"/loop{depth}"]),
                    **({} if inner is None else {"body": inner}))
        inner = onnx.helper.make_graph([node("Identity", [f"c{depth}"], [f"d{depth}"], f"/go{depth}"), last], f"body{depth}",
                                       [info(f"i{depth}", I64, []), info(f"c{depth}", BOOL, []), info(f"s{depth}", F32, [4])],
                                       [info(f"d{depth}", BOOL, []), info(f"r{depth}", F32, [4])])
    out.save("bomb", model([node("Loop", ["m", "", "x"], ["z"], "/bomb", body=inner)], [value("x", [4])], [value("z", [4])], [constant("m", np.int64(100))]))
    stops = [node("ReduceSum", ["s2"], ["all"], "/all", keepdims=0), node("Cast", ["all"], ["c2"], "/c", to=BOOL)]
    out.save("data_loop", model([node("Loop", ["m", "", "x"], ["z"], "/loop", body=counted(stops))], [value("x", [4])], [value("z", [4])], [constant("m", np.int64(3))]))
    save("bad_activation", "RNN", ["x", "w", "r"], ([3, 1, "n", 5],), [steps], [ones("w", 1, 5, 4), ones("r", 1, 5, 5)], hidden_size=5, activations=["Elu"])
    save("bad_rule", "LinearAttention", ["q", "k", "v"], (["n", 2, 8],), [value("q", ["n", 2, 8]), value("k", ["n", 2, 4]), value("v", ["n", 2, 4])],
         opset=27, q_num_heads=2, kv_num_heads=1, update_rule="gated")
    save("bad_past", "CausalConvWithState", ["x", "w", "", "p"], (["n", 4, 8],), [value("x", ["n", 4, 8]), value("p", ["n", 4, 3])], [ones("w", 4, 1, 3)], opset=27)
    save("bad_update", "TensorScatter", ["x", "u"], (["n", 8, 4],), [value("x", ["n", 8, 4]), value("u", ["n", 2, 5])])
    save("bad_grid", "GridSample", ["x", "g"], (["n", 4, 5, 6],), [image, value("g", ["n", 5, 6, 3])])
    save("adaptive", "RoiAlign", ["x", "r", "i"], (["m", 4, 2, 2],), [image, value("r", ["m", 4]), value("i", ["m"], I64)], output_height=2, output_width=2)
    save("bad_offset", "DeformConv", ["x", "w", "o"], (["n", 5, 7, 7],), [image, value("o", ["n", 6, 7, 7])], [ones("w", 5, 4, 2, 2)])
    save("bad_fold", "Col2Im", ["x", "i", "b"], (["n", 2, 5, 5],), [value("x", ["n", 8, 15])], [ints("i", 5, 5), ints("b", 2, 2)])
    save("bad_codes", "MatMulInteger", ["x", "y"], (["n", 3],), [x, value("y", [4, 3])])
    save("bad_equation", "Einsum", ["x", "y"], (["n", 3],), [x, value("y", [3, 5])], equation="ij,kj->ik")
    save("bad_det", "Det", ["x"], (["n"],), [value("x", ["n", 5, 5])])
    save("bad_dft", "DFT", ["x"], (["n", 8, 2],), [value("x", ["n", 8, 3])], opset=17)


if __name__ == "__main__":
    main(Folder(sys.argv[1]))
