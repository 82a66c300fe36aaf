# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of elements, bits, quantized numbers and norms by the constraints of the StableHLO specification."""
from math import erf, inf, nan

import numpy as np
from stablehlo_cases import Broken, Case, family, type_of

random = np.random.default_rng(4)
X = (random.standard_normal((4, 6)) * 2).astype(np.float32)
X[0, :4] = 2.5, -2.5, 0.5, -0.0
Y = random.standard_normal((4, 6)).astype(np.float32)
P = np.abs(X) + np.float32(1.25)
U = np.tanh(Y).astype(np.float32)
E = np.array([inf, -inf, nan, 1.0, -1.0, 0.0], np.float32)
I = random.integers(-(2**31), 2**31, (4, 6)).astype(np.int32)
I[0, :3] = 0, -1, 1
J = random.integers(0, 40, (4, 6)).astype(np.int32)
B = random.integers(0, 256, (3, 8)).astype(np.uint8)
L = random.integers(-(2**62), 2**62, (5,)).astype(np.int64)
L[0] = 0
W = np.array([1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, 3.4e38, 1e-30, -7e4, 65504.0, 65519.9, 6e-5, nan, inf, -0.0], np.float32)
V = random.standard_normal(6).astype(np.float32)
Q = np.abs(random.standard_normal(6)).astype(np.float32)
C, D = np.array(True), np.array(False)
K = random.integers(0, 4, (4, 6)) > 1
M = random.standard_normal((2, 4, 4, 2)).astype(np.float32)
G = random.standard_normal((2, 2, 3, 2)).astype(np.float32)
INPUTS = {"x": X, "y": Y, "p": P, "u": U, "e": E, "i": I, "j": J, "b": B, "l": L, "w": W, "v": V, "q": Q, "c": C, "d": D, "k": K, "m": M, "g": G}


def one(name, argument, function, rules="C1", result=None):
    x = INPUTS[argument]
    with np.errstate(all="ignore"):
        y = np.asarray(function(x.astype(np.float64) if x.dtype == np.float32 else x)).astype(result or x.dtype)
    types = type_of(x) if name.startswith("stablehlo") and result is None else f"{type_of(x)} -> {type_of(y)}"
    return Case(f"%r = {name} %{argument} : {types}", y, rules)


def two(name, x, y, function, rules="C1"):
    x, y, names = INPUTS[x], INPUTS[y], (x, y)
    wide = np.float64 if x.dtype == np.float32 else x.dtype
    return Case(f"%r = {name} %{names[0]}, %{names[1]} : {type_of(x)}", np.asarray(function(x.astype(wide), y.astype(wide))).astype(x.dtype), rules)


def leading_zeros(x):
    width = x.dtype.itemsize * 8
    return np.vectorize(lambda v: width - (int(v) % 2**width).bit_length())(x)


def rounded(x, exponent, mantissa):
    """x in a float of fewer bits: numpy has two such, others follow their definition."""
    if not np.isfinite(x) or x == 0:
        return x
    sign, value = np.copysign(1.0, x), abs(float(x))
    power = int(np.floor(np.log2(value)))
    step = 2.0 ** (power - mantissa)
    value = np.rint(value / step) * step
    bias = 2 ** (exponent - 1) - 1
    if value >= 2.0 ** (bias + 1):
        return sign * inf
    return sign * (value if value >= 2.0 ** (1 - bias) else 0.0)


def inverse_erf(y):
    """By bisection, in f64."""
    low, high = np.full(y.shape, -6.0), np.full(y.shape, 6.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = np.vectorize(erf)(middle) < y
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def precise(exponent, mantissa):
    y = np.array([rounded(w, exponent, mantissa) for w in W], np.float32)
    return Case(f"%r = stablehlo.reduce_precision %w, format = e{exponent}m{mantissa} : {type_of(W)}", y, "C1-C3")


UNIFORM, AXIS = "!quant.uniform<i8:f32, 0.1:3>", "!quant.uniform<u8:f32:1, {0.1:100, 0.2:128, 0.05:90, 0.3:120, 0.01:128, 0.15:77}>"
SCALES, ZEROS = np.array([0.1, 0.2, 0.05, 0.3, 0.01, 0.15], np.float32), np.array([100, 128, 90, 120, 128, 77], np.float32)


def quantized(x, scale=np.float32(0.1), zero=np.float32(3), low=-128, high=127):
    return np.rint(np.clip((x / scale + zero).astype(np.float32), low, high)).astype(np.float32)


def expressed(codes, scale=np.float32(0.1), zero=np.float32(3)):
    return ((codes - zero) * scale).astype(np.float32)


def through(kind, codes, *values):
    text = f"""%n = stablehlo.uniform_quantize %x : ({type_of(X)}) -> tensor<4x6x{kind}>
    %r = stablehlo.uniform_dequantize %n : (tensor<4x6x{kind}>) -> {type_of(X)}"""
    return Case(text, expressed(codes, *values), "uniform_quantize C1 C2")


def normalized(mean, variance):
    x = X.astype(np.float64)
    return (x - mean) / np.sqrt(variance + 0.5) * V + Y[0]


def select_and_scatter():
    """The greatest of each window of 2 x 3 gets the window's gradient."""
    y = np.full(M.shape, 0.25)
    for b, r, c, f in np.ndindex(*G.shape):
        places = [(b, i, j, f) for i in (2 * r, 2 * r + 1) for j in range(c - 1, c + 2) if 0 <= i < 4 and 0 <= j < 4]
        best = max(places, key=lambda place: M[place])
        y[best] += G[b, r, c, f]
    return y.astype(np.float32)


SELECT = f"""%z = stablehlo.constant dense<0.25> : tensor<f32>
    %r = "stablehlo.select_and_scatter"(%m, %g, %z) <{{padding = dense<[[0, 0], [0, 0], [1, 0], [0, 0]]> : tensor<4x2xi64>,
      window_dimensions = array<i64: 1, 2, 3, 1>, window_strides = array<i64: 1, 2, 1, 1>}}> ({{
    ^bb0(%s: tensor<f32>, %t: tensor<f32>):
      %h = stablehlo.compare GE, %s, %t, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %h : tensor<i1>
    }}, {{
    ^bb0(%s: tensor<f32>, %t: tensor<f32>):
      %h = stablehlo.add %s, %t : tensor<f32>
      stablehlo.return %h : tensor<f32>
    }}) : ({type_of(M)}, {type_of(G)}, tensor<f32>) -> {type_of(M)}"""
MAP = f"""%r = "stablehlo.map"(%x, %y) <{{dimensions = array<i64: 0, 1>}}> ({{
    ^bb0(%s: tensor<f32>, %t: tensor<f32>):
      %h = stablehlo.compare GT, %s, %t, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %h : tensor<i1>
    }}) : ({type_of(X)}, {type_of(X)}) -> tensor<4x6xi1>"""
IF = f"""%r = "stablehlo.if"(%c) ({{
      stablehlo.return %x : {type_of(X)}
    }}, {{
      %n = stablehlo.negate %x : {type_of(X)}
      stablehlo.return %n : {type_of(X)}
    }}) : (tensor<i1>) -> {type_of(X)}"""
INFERENCE = f"""%o = stablehlo.slice %y [0:1, 0:6] : ({type_of(Y)}) -> tensor<1x6xf32>
    %offset = stablehlo.reshape %o : (tensor<1x6xf32>) -> tensor<6xf32>
    %r = "stablehlo.batch_norm_inference"(%x, %v, %offset, %v, %q) <{{epsilon = 5.000000e-01 : f32, feature_index = 1 : i64}}> : ({type_of(X)}, tensor<6xf32>,
      tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> {type_of(X)}"""
TRAINING = INFERENCE.replace("%r =", "%r:3 =").replace("inference", "training").replace("%offset, %v, %q)", "%offset)").replace(
    "tensor<6xf32>,\n      tensor<6xf32>, tensor<6xf32>, tensor<6xf32>)", "tensor<6xf32>, tensor<6xf32>)").replace(f"-> {type_of(X)}", f"-> ({type_of(X)}, tensor<6xf32>, tensor<6xf32>)")
AMOUNTS = """%low = stablehlo.constant dense<[1, -1]> : tensor<2xi64>
    %high = stablehlo.constant dense<[0, 2]> : tensor<2xi64>
    %inner = stablehlo.constant dense<[1, 0]> : tensor<2xi64>
    %z = stablehlo.constant dense<0.0> : tensor<f32>"""
wide = np.zeros((8, 7), np.float32)
wide[1::2, :5] = X[:, 1:]
CASES = {
    "atan2": two("stablehlo.atan2", "x", "y", np.arctan2),
    "cbrt": one("stablehlo.cbrt", "x", np.cbrt),
    "tan": one("stablehlo.tan", "y", np.tan),
    "round_nearest_afz": one("stablehlo.round_nearest_afz", "x", lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x)),
    "popcnt": one("stablehlo.popcnt", "i", lambda x: np.bitwise_count(x.view(np.uint32))),
    "popcnt of bytes": one("stablehlo.popcnt", "b", np.bitwise_count),
    "popcnt of wide ones": one("stablehlo.popcnt", "l", lambda x: np.bitwise_count(x.view(np.uint64))),
    "count_leading_zeros": one("stablehlo.count_leading_zeros", "i", leading_zeros),
    "count_leading_zeros of bytes": one("stablehlo.count_leading_zeros", "b", leading_zeros),
    "count_leading_zeros of wide ones": one("stablehlo.count_leading_zeros", "l", leading_zeros),
    "as bf16": precise(8, 7),
    "as f16": precise(5, 10),
    "as a small one": precise(4, 3),
    **{f"chlo.{name}": one(f"chlo.{name}", x, getattr(np, function), "chlo") for name, x, function in
       (("acos", "u", "arccos"), ("acosh", "p", "arccosh"), ("asin", "u", "arcsin"), ("asinh", "x", "arcsinh"), ("atan", "x", "arctan"),
        ("atanh", "u", "arctanh"), ("cosh", "x", "cosh"), ("sinh", "x", "sinh"), ("tan", "y", "tan"))},
    "chlo.erf_inv": one("chlo.erf_inv", "u", inverse_erf, "chlo"),
    "chlo.erfc": one("chlo.erfc", "x", np.vectorize(lambda x: 1 - erf(x) if x < 0.5 else __import__("math").erfc(x)), "chlo"),
    "chlo.is_inf": one("chlo.is_inf", "e", np.isinf, "chlo", np.bool_),
    "chlo.is_pos_inf": one("chlo.is_pos_inf", "e", np.isposinf, "chlo", np.bool_),
    "chlo.is_neg_inf": one("chlo.is_neg_inf", "e", np.isneginf, "chlo", np.bool_),
    "exponential_minus_one": one("stablehlo.exponential_minus_one", "x", np.expm1),
    "log_plus_one": one("stablehlo.log_plus_one", "p", np.log1p),
    "is_finite": Case("%r = stablehlo.is_finite %e : (tensor<6xf32>) -> tensor<6xi1>", np.isfinite(E), "C1"),
    "not": one("stablehlo.not", "i", np.invert),
    "shift_right_arithmetic": two("stablehlo.shift_right_arithmetic", "i", "j", lambda x, y: x >> np.minimum(y, 31)),
    "divide what has no sign": Case("%n = stablehlo.constant dense<7> : tensor<3x8xui8>\n%r = stablehlo.divide %b, %n : tensor<3x8xui8>", B // 7, "C1"),
    "compare what has no sign": Case("%n = stablehlo.constant dense<130> : tensor<3x8xui8>\n"
                                     "%r = stablehlo.compare GE, %b, %n, UNSIGNED : (tensor<3x8xui8>, tensor<3x8xui8>) -> tensor<3x8xi1>", B >= 130, "C1-C4"),
    "total order": Case("%n = stablehlo.reverse %e, dims = [0] : tensor<6xf32>\n"
                        "%r = stablehlo.compare LT, %e, %n, TOTALORDER : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xi1>",
                        
                        np.array([E[i] < E[5 - i] if not np.isnan([E[i], E[5 - i]]).any() else bool(np.isnan(E[5 - i])) for i in range(6)]), "C4"),
    "bytes into words": Case("%r = stablehlo.bitcast_convert %s : (tensor<3x2x4xui8>) -> tensor<3x2xi32>", B.reshape(3, 2, 4).view(np.int32)[..., 0], "C1 C2"),
    "words into bytes": Case("%r = stablehlo.bitcast_convert %x : (tensor<4x6xf32>) -> tensor<4x6x4xui8>", X[..., None].view(np.uint8), "C1 C2"),
    "quantized": through(UNIFORM, quantized(X)),
    "quantized by columns": through(AXIS, quantized(X, SCALES, ZEROS, 0, 255), SCALES, ZEROS),
    "sum of quantized": Case(f"""%n = stablehlo.uniform_quantize %x : ({type_of(X)}) -> tensor<4x6x{UNIFORM}>
    %o = stablehlo.uniform_quantize %y : ({type_of(X)}) -> tensor<4x6x{UNIFORM}>
    %s = stablehlo.add %n, %o : tensor<4x6x{UNIFORM}>
    %t = stablehlo.reverse %s, dims = [0] : tensor<4x6x{UNIFORM}>
    %r = stablehlo.uniform_dequantize %t : (tensor<4x6x{UNIFORM}>) -> {type_of(X)}""",
                             expressed(quantized(expressed(quantized(X)) + expressed(quantized(Y))))[::-1], "add C1-C6"),
    "if": Case(IF, X, "C1-C3"),
    "if not": Case(IF.replace("%c", "%d"), -X, "C1"),
    "map": Case(MAP, X > Y, "C1-C4"),
    "batch_norm_inference": Case(INFERENCE, normalized(V, Q).astype(np.float32), "C1-C7", scale=8),
    "batch_norm_training": Case(TRAINING, (normalized(X.mean(0, np.float64), X.var(0, np.float64)).astype(np.float32), X.mean(0, np.float64).astype(np.float32),
                                           X.var(0, np.float64).astype(np.float32)), "C1-C7", scale=16),
    "select_and_scatter": Case(SELECT, select_and_scatter(), "C1-C10", scale=4),
    "get_dimension_size": Case(f"%r = stablehlo.get_dimension_size %x, dim = 1 : ({type_of(X)}) -> tensor<i32>", np.array(6, np.int32), "C1"),
    "replica_id": Case("%r = stablehlo.replica_id : tensor<ui32>", np.array(0, np.uint32)),
    "partition_id": Case("%r = stablehlo.partition_id : tensor<ui32>", np.array(0, np.uint32)),
    "dot": Case(f"%n = stablehlo.transpose %y, dims = [1, 0] : ({type_of(Y)}) -> tensor<6x4xf32>\n"
                f"%r = stablehlo.dot %x, %n, precision = [DEFAULT, DEFAULT] : ({type_of(X)}, tensor<6x4xf32>) -> tensor<4x4xf32>", (X.astype(np.float64) @ Y.T).astype(np.float32), scale=8),
    "dynamic_pad": Case(f"{AMOUNTS}\n%r = stablehlo.dynamic_pad %x, %z, %low, %high, %inner : ({type_of(X)}, tensor<f32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>)"
                        " -> tensor<8x7xf32>", wide, "C1-C4"),
    "dynamic shapes of one size": Case("""%n = stablehlo.constant dense<[2, 6]> : tensor<2xi64>
    %s = stablehlo.dynamic_iota %n, dim = 1 : (tensor<2xi64>) -> tensor<2x6xi32>
    %t = stablehlo.dynamic_broadcast_in_dim %s, %n, dims = [0, 1] : (tensor<2x6xi32>, tensor<2xi64>) -> tensor<2x6xi32>
    %h = stablehlo.constant dense<[3, 4]> : tensor<2xi64>
    %r = stablehlo.dynamic_reshape %t, %h : (tensor<2x6xi32>, tensor<2xi64>) -> tensor<3x4xi32>""", np.tile(np.arange(6, dtype=np.int32), 2).reshape(3, 4), "C1-C4"),
    "real_dynamic_slice": Case(f"""%n = stablehlo.constant dense<[1, 0]> : tensor<2xi64>
    %s = stablehlo.constant dense<[4, 6]> : tensor<2xi64>
    %t = stablehlo.constant dense<[1, 2]> : tensor<2xi64>
    %r = stablehlo.real_dynamic_slice %x, %n, %s, %t : ({type_of(X)}, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<3x3xf32>""", X[1:4, 0:6:2]),
    "dynamic_gather": Case(f"""%n = stablehlo.constant dense<[1, 6]> : tensor<2xi64>
    %s = stablehlo.constant dense<[[3], [0], [9]]> : tensor<3x1xi32>
    %r = "stablehlo.dynamic_gather"(%x, %s, %n) <{{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0],
      index_vector_dim = 1>}}> : ({type_of(X)}, tensor<3x1xi32>, tensor<2xi64>) -> tensor<3x6xf32>""", X[[3, 0, 3]], "C1-C22"),
}
CASES["bytes into words"].text = "%s = stablehlo.reshape %b : (tensor<3x8xui8>) -> tensor<3x2x4xui8>\n" + CASES["bytes into words"].text


def change(case, old, new):
    assert old in CASES[case].text, old
    return CASES[case].text.replace(old, new)


BROKEN = {
    "atan2 of integers": Broken("%r = stablehlo.atan2 %x, %i : (tensor<4x6xf32>, tensor<4x6xi32>) -> tensor<4x6xf32>", "atan2 C1", "must have the same elements"),
    "cbrt of another shape": Broken("%r = stablehlo.cbrt %x : (tensor<4x6xf32>) -> tensor<6x4xf32>", "cbrt C1", "must have the same shape"),
    "no exponent": Broken(change("as bf16", "e8m7", "e0m7"), "reduce_precision C2", "format is e0m7"),
    "no format": Broken(change("as bf16", "e8m7", "bf16"), "reduce_precision I2", "a format is a word like e8m7"),
    "a function of bits": Broken("%r = stablehlo.reduce_precision %i, format = e8m7 : tensor<4x6xi32>", "reduce_precision I1", "its elements must be floats"),
    "other parts": Broken("%r = stablehlo.bitcast_convert %x : (tensor<4x6xf32>) -> tensor<4x6x3xui8>", "bitcast_convert C1", "for the parts of a wider element"),
    "quantized without a type": Broken("%r = stablehlo.uniform_quantize %x : (tensor<4x6xf32>) -> tensor<4x6xi8>", "uniform_quantize C1", "they must be floats and quantized"),
    "too few scales": Broken("%n = stablehlo.uniform_quantize %x : (tensor<4x6xf32>) -> tensor<4x6x!quant.uniform<i8:f32:1, {0.1, 0.2}>>",
                             "uniform_quantize C2", "has 2 scales along dimension 1"),
    "if with an index": Broken(change("if", "%c", "%a").replace("(tensor<i1>) ->", "(tensor<i32>) ->"), "if I1", "condition has type"),
    "if with two types": Broken(change("if", f"%n : {type_of(X)}\n", "%c : tensor<i1>\n"), "if C1", "the second branch of"),
    "map over some dimensions": Broken(change("map", "array<i64: 0, 1>", "array<i64: 0>"), "map C3", "dimensions has 1 elements"),
    "map of other elements": Broken(change("map", "-> tensor<4x6xi1>", "-> tensor<4x6xf32>"), "map C4", "needs ('tensor<f32>')"),
    "features": Broken(change("batch_norm_inference", "feature_index = 1", "feature_index = 2"), "batch_norm_inference C1", "has dimension 2"),
    "vectors of features": Broken(change("batch_norm_inference", "feature_index = 1", "feature_index = 0"), "batch_norm_inference C3", "a vector of features"),
    "source": Broken(change("select_and_scatter", "array<i64: 1, 2, 1, 1>", "array<i64: 1, 1, 1, 1>"), "select_and_scatter C2", "source has type"),
    "windows": Broken(change("select_and_scatter", "array<i64: 1, 2, 3, 1>", "array<i64: 1, 2, 3>"), "select_and_scatter C4", "window_dimensions has 3"),
    "window of 0": Broken(change("select_and_scatter", "array<i64: 1, 2, 3, 1>", "array<i64: 1, 2, 0, 1>"), "select_and_scatter C5", "must be positive"),
    "selection": Broken(change("select_and_scatter", "stablehlo.return %h : tensor<i1>", "stablehlo.return %s : tensor<f32>"), "select_and_scatter C9", "needs ('tensor<i1>')"),
    "dimension of nothing": Broken(change("get_dimension_size", "dim = 1", "dim = 2"), "get_dimension_size C1", "has dimension 2"),
    "amounts": Broken("%n = stablehlo.constant dense<[1]> : tensor<1xi64>\n%z = stablehlo.constant dense<0.0> : tensor<f32>\n"
                      "%r = stablehlo.dynamic_pad %x, %z, %n, %n, %n : (tensor<4x6xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4x6xf32>",
                      "dynamic_pad C2", "it must hold 2 integers"),
    "test of integers": Broken("%r = chlo.is_inf %i : tensor<4x6xi32> -> tensor<4x6xi1>", "chlo", "its elements must be floats"),
    "matrices": Broken(change("dot", "%x, %n,", "%x, %x,").replace(", tensor<6x4xf32>) -> tensor<4x4xf32>", ", tensor<4x6xf32>) -> tensor<4x6xf32>"), "dot", "the last size of one"),
}
PREAMBLE = ", ".join(f"%{name}: {type_of(array)}" for name, array in {**INPUTS, "a": np.array(0, np.int32)}.items())
computed, refused, test_case, test_broken = family(CASES, BROKEN, INPUTS, PREAMBLE)
