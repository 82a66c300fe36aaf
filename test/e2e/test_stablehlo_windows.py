# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""convolution, reduce_window and pad by the constraints of the StableHLO specification; numpy follows its formulas step by step."""
import itertools

import numpy as np
from stablehlo_cases import Broken, Case, family, type_of

random = np.random.default_rng(1)
X = random.standard_normal((2, 7, 6, 4)).astype(np.float32)  # b 0 1 f
W = random.standard_normal((3, 2, 4, 6)).astype(np.float32)  # 0 1 i o
G = random.standard_normal((3, 2, 2, 6)).astype(np.float32)  # half of the features
B = random.integers(-9, 9, (2, 5, 8)).astype(np.int8)  # b f 0
K = random.integers(-9, 9, (6, 5, 3)).astype(np.int8)  # o i 0
U = random.integers(0, 256, (2, 5, 8)).astype(np.uint8)
I = random.integers(-99, 99, (5, 6)).astype(np.int32)
P = np.array(7, np.int32)
Z = np.array(0, np.float32)
V = random.standard_normal((1, 4, 3, 4, 2)).astype(np.float32)
T = random.standard_normal((2, 2, 2, 2, 3)).astype(np.float32)
INPUTS = {"x": X, "w": W, "g": G, "b": B, "k": K, "u": U, "i": I, "p": P, "z": Z, "vol": V, "box": T}


def spread(x, axes, apart, pads, value=0):
    """x with `apart - 1` of `value` between elements and `pads` around them; negative ones take elements away."""
    for axis, gap, (low, high) in zip(axes, apart, pads):
        size = x.shape[axis]
        shape = list(x.shape)
        shape[axis] = (size - 1) * gap + 1 if size else 0
        wide = np.full(shape, value, x.dtype)
        wide[(slice(None),) * axis + (slice(None, None, gap),)] = x
        shape[axis] = max(low, 0)
        before = np.full(shape, value, x.dtype)
        shape[axis] = max(high, 0)
        wide = np.concatenate([before, wide, np.full(shape, value, x.dtype)], axis)
        x = wide[(slice(None),) * axis + (slice(max(-low, 0), wide.shape[axis] - max(-high, 0)),)]
    return x


def convolve(x, w, order, stride, pad, lhs, rhs, reverse, groups, batches, element):
    """`order`: the dimensions of the input, the kernel and the output, b f i o and numbers for spatial ones."""
    n = len(stride)
    letters = "".join(map(str, range(n)))
    inputs, kernel, output = order.split()
    x = x.transpose([inputs.index(c) for c in "bf" + letters]).astype(np.float64)
    w = w.transpose([kernel.index(c) for c in "oi" + letters]).astype(np.float64)
    w = w[(slice(None),) * 2 + tuple(slice(None, None, -1 if r else 1) for r in reverse)]
    axes = range(2, n + 2)
    x, w = spread(x, axes, lhs, pad), spread(w, axes, rhs, [(0, 0)] * n)
    steps = [(x.shape[2 + i] - w.shape[2 + i]) // stride[i] + 1 for i in range(n)]
    y = np.zeros((x.shape[0] // batches, w.shape[0], *steps))
    parts = groups * batches
    for part, at in itertools.product(range(parts), np.ndindex(*steps)):
        seen = x[(slice(None),) * 2 + tuple(slice(p * s, p * s + k) for p, s, k in zip(at, stride, w.shape[2:]))]
        seen = np.split(seen, parts, axis=0 if batches > 1 else 1)[part]
        share = slice(part * w.shape[0] // parts, (part + 1) * w.shape[0] // parts)
        y[(slice(None), share, *at)] = seen.reshape(len(seen), -1) @ w[share].reshape(w[share].shape[0], -1).T
    return y.transpose(["bf".find(c) if c in "bf" else 2 + int(c) for c in output]).astype(element)


def conv(x, w, order, rules, stride=None, pad=None, lhs=None, rhs=None, reverse=None, groups=1, batches=1, element=np.float32):
    n = INPUTS[x].ndim - 2
    stride, pad, lhs, rhs = stride or [1] * n, pad or [(0, 0)] * n, lhs or [1] * n, rhs or [1] * n
    reverse = reverse or [False] * n
    y = convolve(INPUTS[x], INPUTS[w], order, stride, pad, lhs, rhs, reverse, groups, batches, element)
    inputs, kernel, output = ("[" + ", ".join(part) + "]" for part in order.split())
    text = (f"%r = stablehlo.convolution(%{x}, %{w}) dim_numbers = {inputs}x{kernel}->{output}, window = {{stride = {stride}, "
            f"pad = {[list(p) for p in pad]}, lhs_dilate = {lhs}, rhs_dilate = {rhs}, reverse = {str(reverse).lower()}}} "
            f"{{batch_group_count = {batches} : i64, feature_group_count = {groups} : i64}} : "
            f"({type_of(INPUTS[x])}, {type_of(INPUTS[w])}) -> {type_of(y)}")
    return Case(text, y, rules, scale=16)


def windows(x, init, function, body, size, rules, stride=None, base=None, apart=None, pad=None):
    x, init, start = INPUTS[x], INPUTS[init], (x, init)
    n = x.ndim
    stride, base, apart, pad = stride or [1] * n, base or [1] * n, apart or [1] * n, pad or [(0, 0)] * n
    wide = spread(x, range(n), base, pad, init)
    reach = [(k - 1) * d + 1 for k, d in zip(size, apart)]
    y = np.empty([max(0, (s - r) // t + 1) for s, r, t in zip(wide.shape, reach, stride)], x.dtype)
    for at in np.ndindex(*y.shape):
        seen = wide[tuple(slice(p * t, p * t + r, d) for p, t, r, d in zip(at, stride, reach, apart))].ravel()
        value = init
        for element in seen:
            value = function(value, element)
        y[at] = value
    lists = ", ".join(f"{name} = array<i64: {', '.join(map(str, values))}>" for name, values in
                      (("base_dilations", base), ("window_dilations", apart), ("window_dimensions", size), ("window_strides", stride)))
    kind = type_of(init)
    text = f"""%r = "stablehlo.reduce_window"(%{start[0]}, %{start[1]}) <{{{lists}, padding = dense<{[list(p) for p in pad]}> : tensor<{n}x2xi64>}}> ({{
    ^bb0(%l: {kind}, %m: {kind}):
      {body}
      stablehlo.return %n : {kind}
    }}) : ({type_of(x)}, {kind}) -> {type_of(y)}"""
    return Case(text, y, rules, scale=8)


SUM, MOST = "%n = stablehlo.add %l, %m : tensor<{0}>", "%n = stablehlo.maximum %l, %m : tensor<{0}>"
TWO = windows("i", "p", np.add, SUM.format("i32"), [2, 3], "C1-C15")


def pad(x, value, low, high, inner, rules):
    y = spread(INPUTS[x], range(len(low)), [i + 1 for i in inner], list(zip(low, high)), INPUTS[value])
    return Case(f"%r = stablehlo.pad %{x}, %{value}, low = {low}, high = {high}, interior = {inner} : "
                f"({type_of(INPUTS[x])}, {type_of(INPUTS[value])}) -> {type_of(y)}", y, rules)


CASES = {
    "conv as images come": conv("x", "w", "b01f 01io b01f", "C1-C27", stride=[2, 1], pad=[(1, 1), (0, 1)]),
    "conv with dilations": conv("x", "w", "b01f 01io bf01", "C2-C7", lhs=[2, 3], rhs=[2, 2], pad=[(2, 1), (-1, 3)]),
    "conv reversed": conv("x", "w", "b01f 01io f01b", "C9", reverse=[True, False]),
    "conv with less than the input": conv("x", "w", "b01f 01io b01f", "C4", pad=[(-1, -2), (-1, 0)]),
    "conv in groups of features": conv("x", "g", "b01f 01io b01f", "C11 C14 C16 C21 C23", groups=2, pad=[(1, 1), (1, 0)]),
    "conv in groups of a batch": conv("x", "w", "b01f 01io b01f", "C10 C15 C22 C24", batches=2),
    "conv of integers": conv("b", "k", "bf0 oi0 bf0", "C27", element=np.int32, stride=[2], pad=[(1, 2)]),
    "conv of numbers without a sign": conv("u", "k", "bf0 oi0 bf0", "C27", element=np.int32),
    "conv of volumes": conv("vol", "box", "b012f 012io b012f", "C1", pad=[(1, 0), (0, 0), (0, 1)], stride=[2, 1, 1]),
    "sums that begin at 7": TWO,
    "sums with everything": windows("i", "p", np.add, SUM.format("i32"), [2, 2], "C6-C12", [2, 1], [2, 3], [3, 2], [(2, 1), (0, -1)]),
    "greatest": windows("x", "z", np.maximum, MOST.format("f32"), [1, 3, 2, 1], "C4", [1, 2, 2, 1], pad=[(0, 0), (1, 1), (0, 1), (0, 0)]),
    "windows of one": windows("i", "p", np.add, SUM.format("i32"), [1, 1], "C4 C5"),
    "a body that is no word": windows("i", "p", lambda x, y: 2 * x - y, """%t = stablehlo.add %l, %l : tensor<i32>
      %n = stablehlo.subtract %t, %m : tensor<i32>""", [3, 1], "C13"),
    "pad between": pad("i", "p", [1, 0], [0, 2], [1, 2], "C1-C4"),
    "pad with less than the operand": pad("i", "p", [-2, 3], [1, -4], [2, 1], "C4"),
    "pad that takes all away": pad("i", "p", [-6, 0], [4, 0], [0, 0], "C4"),
}


def change(case, old, new):
    assert old in case.text
    return case.text.replace(old, new)


C, S = CASES["conv as images come"], CASES["sums with everything"]
BROKEN = {
    "strides": Broken(change(C, "stride = [2, 1]", "stride = [2]"), "C2", "stride has 1 elements; it must have 2"),
    "stride of 0": Broken(change(C, "stride = [2, 1]", "stride = [2, 0]"), "C3", "stride has the element 0; it must be positive"),
    "padding": Broken(change(C, "pad = [[1, 1], [0, 1]]", "pad = [[1, 1]]"), "C4", "padding has type"),
    "input dilation": Broken(change(C, "lhs_dilate = [1, 1]", "lhs_dilate = [1, 0]"), "C6", "lhs_dilate has the element 0"),
    "kernel dilation": Broken(change(C, "rhs_dilate = [1, 1]", "rhs_dilate = [1]"), "C7", "rhs_dilate has 1 elements"),
    "reversal": Broken(change(C, "reverse = [false, false]", "reverse = [false]"), "C9", "reverse has 1 elements; it must have 2"),
    "batch groups": Broken(change(C, "batch_group_count = 1", "batch_group_count = 3"), "C10", "batch_group_count is 3; it must divide 2"),
    "feature groups": Broken(change(C, "feature_group_count = 1", "feature_group_count = 3"), "C11", "4 features in 3 groups"),
    "both groups": Broken(change(CASES["conv in groups of features"], "batch_group_count = 1", "batch_group_count = 2"), "C23",
                          "one of them must be 1"),
    "kernel features": Broken(change(C, "%w)", "%g)").replace("tensor<3x2x4x6xf32>", "tensor<3x2x2x6xf32>"), "C14", "rhs takes 2"),
    "a dimension twice": Broken(change(C, "[0, 1, i, o]", "[0, 0, i, o]"), "C18", "each once"),
    "result of conv": Broken(change(C, "-> tensor<2x4x6x6xf32>", "-> tensor<2x4x5x6xf32>"), "C25", "it must have the shape"),
    "window dimensions": Broken(change(S, "window_dimensions = array<i64: 2, 2>", "window_dimensions = array<i64: 2>"), "C4",
                                "window_dimensions has 1 elements; it must have 2"),
    "window of 0": Broken(change(S, "window_dimensions = array<i64: 2, 2>", "window_dimensions = array<i64: 2, 0>"), "C5", "it must be positive"),
    "window strides": Broken(change(S, "window_strides = array<i64: 2, 1>", "window_strides = array<i64: 2>"), "C6", "window_strides has 1"),
    "window stride of 0": Broken(change(S, "window_strides = array<i64: 2, 1>", "window_strides = array<i64: 0, 1>"), "C7", "the element 0"),
    "base dilations": Broken(change(S, "base_dilations = array<i64: 2, 3>", "base_dilations = array<i64: 2, -3>"), "C9", "the element -3"),
    "window dilations": Broken(change(S, "window_dilations = array<i64: 3, 2>", "window_dilations = array<i64: 1>"), "C10", "window_dilations has 1"),
    "body of a window": Broken(change(S, "stablehlo.return %n : tensor<i32>", "stablehlo.return"), "C13", "stablehlo.reduce_window' needs ('tensor<i32>')"),
    "initial value": Broken(change(S, "(%i, %p)", "(%i, %z)").replace("tensor<5x6xi32>, tensor<i32>)", "tensor<5x6xi32>, tensor<f32>)"), "C13",
                            "initial value has type"),
    "padding value": Broken(change(CASES["pad between"], "%p,", "%z,").replace(", tensor<i32>)", ", tensor<f32>)"), "C1", "padding_value has elements"),
    "interior": Broken(change(CASES["pad between"], "interior = [1, 2]", "interior = [1, -2]"), "C3", "interior is -2"),
    "amounts": Broken(change(CASES["pad between"], "low = [1, 0]", "low = [1]"), "C2", "low has 1 elements; it must have 2"),
    "result of pad": Broken(change(CASES["pad between"], "high = [0, 2]", "high = [0, 3]"), "C4", "it must have the shape"),
}
PREAMBLE = ", ".join(f"%{name}: {type_of(array)}" for name, array in INPUTS.items())
computed, refused, test_case, test_broken = family(CASES, BROKEN, INPUTS, PREAMBLE)
