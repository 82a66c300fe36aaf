# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Modules of what importers may emit, from stage imported to an artifact: each region within its bound, and values as numpy has them.

Data are small integers, so that most results are exact; a case without `exact` is compared within its bound by whit-check alone.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np
import pytest

random = np.random.default_rng(7)


def whole(*shape, low=-4, high=5, dtype=np.float32):
    return random.integers(low, high, shape).astype(dtype)


@dataclass
class Case:
    arguments: str  # of @main, without attributes: "x: ?x4xf32, y: 3xi64"
    results: str  # "?x4xf32"
    body: str
    feeds: dict
    expected: Callable | None = None  # from the feeds, in order, to the results
    sizes: tuple = ()  # what the dynamic dimensions of results are called: "x0" is dimension 0 of x


def declared(kind):
    """"?x4xf32" to "tensor<?x4xf32>", and its dimensions."""
    return f"tensor<{kind}>", kind.split("x")[:-1]


def module(case: Case) -> str:
    arguments, known = [], []
    for argument in case.arguments.split(", "):
        name, kind = argument.split(": ")
        kind, dims = declared(kind)
        known += [f'"{name}{i}"' for i, d in enumerate(dims) if d == "?"]
        symbols = ", ".join(f'"{name}{i}"' if d == "?" else d for i, d in enumerate(dims))
        arguments.append(f'%{name}: {kind} {{whit.name = "{name}", whit.dims = [{symbols}]}}')
    results, names, sizes = [], [], iter(case.sizes)
    for i, kind in enumerate(case.results.split(", ")):
        kind, dims = declared(kind)
        symbols = ", ".join(f'"{next(sizes)}"' if d == "?" else d for d in dims)
        results.append(f'{kind} {{whit.name = "r{i}", whit.dims = [{symbols}]}}')
        names.append((f"%r{i}", kind))
    values, kinds = ", ".join(n for n, _ in names), ", ".join(k for _, k in names)
    return (f"module attributes {{whit.symbols = [{', '.join(known)}]}} {{\nfunc.func @main({', '.join(arguments)}) -> ({', '.join(results)}) {{\n"
            "  %c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n  %zero = arith.constant 0.0 : f32\n"
            f"{case.body}\n  return {values} : {kinds}\n}}\n}}\n")


def generic(result, ins, outs, maps, loops, body):
    """linalg.generic; `maps` like "ij ji ij", `loops` like "ppr", `ins` like "%x: 2x3xf32"."""
    dims = sorted({c for m in maps.split() for c in m if c.isalpha()})
    spelled = [f"affine_map<({', '.join(dims)}) -> ({', '.join('0' if c == '_' else c for c in m if c != '.')})>" for m in maps.split()]
    kinds = {"p": '"parallel"', "r": '"reduction"'}
    split = lambda text: [part.split(": ") for part in text.split(", ") if part]  # noqa: E731
    given, out = split(ins), split(outs)
    head = f"ins({', '.join(v for v, _ in given)} : {', '.join(f'tensor<{k}>' for _, k in given)}) " if given else ""
    block = ", ".join(f"%a{i}: {k.split('x')[-1]}" for i, (_, k) in enumerate(given + out))
    return (f"  {result} = linalg.generic {{indexing_maps = [{', '.join(spelled)}], iterator_types = [{', '.join(kinds[c] for c in loops)}]}}\n"
            f"    {head}outs({', '.join(v for v, _ in out)} : {', '.join(f'tensor<{k}>' for _, k in out)}) {{\n  ^bb0({block}):\n"
            f"{body}\n  }} -> {', '.join(f'tensor<{k}>' for _, k in out)}\n")


def elementwise(kind_in, kind_out, body, maps="i i", loops="p", arguments="x", shape="11"):
    """y = body(%a0, ...) on arguments of one kind."""
    names = arguments.split()
    return (f"  %e = tensor.empty() : tensor<{shape}x{kind_out}>\n" +
            generic("%r0", ", ".join(f"%{n}: {shape}x{kind_in}" for n in names), f"%e: {shape}x{kind_out}", maps, loops, body))


def filled(name, kind, value="%zero", sizes=""):
    return f"  %{name}e = tensor.empty({sizes}) : tensor<{kind}>\n  %{name} = linalg.fill ins({value} : {kind.split('x')[-1]}) outs(%{name}e : tensor<{kind}>) -> tensor<{kind}>\n"


SUM = "    %s = arith.addf %a0, %a1 : f32\n    linalg.yield %s : f32"
PRODUCTS = "    %p = arith.mulf %a0, %a1 : f32\n    %s = arith.addf %a2, %p : f32\n    linalg.yield %s : f32"
CASES: dict[str, Case] = {}

# ------------------------------------------------------------------------------------------------ moving

CASES["concatenation"] = Case(
    "x: ?x3xf32, y: ?x5xf32", "?x11xf32",
    "  %r0 = tensor.concat dim(1) %x, %y, %x : (tensor<?x3xf32>, tensor<?x5xf32>, tensor<?x3xf32>) -> tensor<?x11xf32>",
    {"x": whole(4, 3), "y": whole(4, 5)}, lambda x, y: [np.concatenate([x, y, x], 1)], ("x0",))
CASES["concatenation of what is computed"] = Case(
    "x: ?x8xf32", "?x16xf32",
    "  %n = tensor.dim %x, %c0 : tensor<?x8xf32>\n  %e = tensor.empty(%n) : tensor<?x8xf32>\n"
    + generic("%m", "%x: ?x8xf32", "%e: ?x8xf32", "ij ij", "pp", "    %n1 = arith.negf %a0 : f32\n    linalg.yield %n1 : f32")
    + "  %r0 = tensor.concat dim(1) %m, %x : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x16xf32>",
    {"x": whole(5, 8)}, lambda x: [np.concatenate([-x, x], 1)], ("x0",))
CASES["concatenation of dynamic parts"] = Case(
    "x: ?x3xi64, y: ?x3xi64", "6x3xi64, 6x3xi64",
    "  %d = tensor.concat dim(0) %x, %y : (tensor<?x3xi64>, tensor<?x3xi64>) -> tensor<?x3xi64>\n"
    "  %r0 = tensor.cast %d : tensor<?x3xi64> to tensor<6x3xi64>\n  %e = tensor.empty() : tensor<6x3xi64>\n"
    + generic("%r1", "%r0: 6x3xi64", "%e: 6x3xi64", "ij ij", "pp", "    %s = arith.addi %a0, %a0 : i64\n    linalg.yield %s : i64"),
    {"x": whole(2, 3, dtype=np.int64), "y": whole(4, 3, dtype=np.int64)},
    lambda x, y: [np.concatenate([x, y]), 2 * np.concatenate([x, y])])
CASES["padding"] = Case(
    "x: 2x3xf32", "4x8xf32",
    "  %r0 = tensor.pad %x low[1, 2] high[1, 3] {\n  ^bb0(%i: index, %j: index):\n    %seven = arith.constant 7.0 : f32\n"
    "    tensor.yield %seven : f32\n  } : tensor<2x3xf32> to tensor<4x8xf32>",
    {"x": whole(2, 3)}, lambda x: [np.pad(x, ((1, 1), (2, 3)), constant_values=7)])
CASES["slices and steps"] = Case(
    "x: 7x20xf32", "3x10xf32, 7x20xf32",
    "  %r0 = tensor.extract_slice %x[1, 0] [3, 10] [2, 2] : tensor<7x20xf32> to tensor<3x10xf32>\n  %e = tensor.empty() : tensor<7x20xf32>\n"
    + generic("%r1", "", "%e: 7x20xf32", "ij", "pp",
              "    %c19 = arith.constant 19 : index\n    %i = linalg.index 0 : index\n    %j = linalg.index 1 : index\n"
              "    %k = arith.subi %c19, %j : index\n    %v = tensor.extract %x[%i, %k] : tensor<7x20xf32>\n    linalg.yield %v : f32"),
    {"x": whole(7, 20)}, lambda x: [x[1:6:2, ::2], x[:, ::-1]])
CASES["transposes"] = Case(
    "x: 3x?x21xf32", "21x3x?xf32, ?x3x21xf32",
    "  %n = tensor.dim %x, %c1 : tensor<3x?x21xf32>\n  %e = tensor.empty(%n) : tensor<21x3x?xf32>\n  %f = tensor.empty(%n) : tensor<?x3x21xf32>\n"
    "  %r0 = linalg.transpose ins(%x : tensor<3x?x21xf32>) outs(%e : tensor<21x3x?xf32>) permutation = [2, 0, 1]\n"
    "  %r1 = linalg.transpose ins(%x : tensor<3x?x21xf32>) outs(%f : tensor<?x3x21xf32>) permutation = [1, 0, 2]",
    {"x": whole(3, 37, 21)}, lambda x: [x.transpose(2, 0, 1), x.transpose(1, 0, 2)], ("x1", "x1"))
CASES["gathers"] = Case(
    "x: 9x20xf32, i: 4xi64, j: 4x5xi64", "4x20xf32, 4x5xf32",
    "  %e = tensor.empty() : tensor<4x20xf32>\n  %f = tensor.empty() : tensor<4x5xf32>\n"
    + generic("%r0", "%i: 4xi64", "%e: 4x20xf32", "i ij", "pp",
              "    %k = arith.index_cast %a0 : i64 to index\n    %j1 = linalg.index 1 : index\n"
              "    %v = tensor.extract %x[%k, %j1] : tensor<9x20xf32>\n    linalg.yield %v : f32")
    + generic("%r1", "%j: 4x5xi64", "%f: 4x5xf32", "ij ij", "pp",
              "    %k = arith.index_cast %a0 : i64 to index\n    %i0 = linalg.index 0 : index\n"
              "    %v = tensor.extract %x[%i0, %k] : tensor<9x20xf32>\n    linalg.yield %v : f32"),
    {"x": whole(9, 20), "i": np.array([8, 0, 3, 3]), "j": whole(4, 5, low=0, high=20, dtype=np.int64)},
    lambda x, i, j: [x[i], np.take_along_axis(x[:4], j, 1)])
CASES["rank 6"] = Case(
    "x: 2x1x3x2x2x5xf32", "5x2x2x3x1x2xf32",
    "  %e = tensor.empty() : tensor<5x2x2x3x1x2xf32>\n"
    "  %r0 = linalg.transpose ins(%x : tensor<2x1x3x2x2x5xf32>) outs(%e : tensor<5x2x2x3x1x2xf32>) permutation = [5, 4, 3, 2, 1, 0]",
    {"x": whole(2, 1, 3, 2, 2, 5)}, lambda x: [x.transpose(5, 4, 3, 2, 1, 0)])
CASES["nothing"] = Case(
    "x: ?x4xf32", "?x4xf32, 1xf32",
    "  %n = tensor.dim %x, %c0 : tensor<?x4xf32>\n  %e = tensor.empty(%n) : tensor<?x4xf32>\n"
    + generic("%r0", "%x: ?x4xf32", "%e: ?x4xf32", "ij ij", "pp", "    %s = arith.addf %a0, %a0 : f32\n    linalg.yield %s : f32")
    + filled("f", "f32") + generic("%t", "%x: ?x4xf32", "%f: f32", "ij .", "rr", SUM)
    + "  %r1 = tensor.expand_shape %t [] output_shape [1] : tensor<f32> into tensor<1xf32>",
    {"x": whole(0, 4)}, lambda x: [x, np.zeros(1)], ("x0",))

CASES["nothing, known to be nothing"] = Case(
    "x: 3x0xf32, y: 0x4xf32", "3xf32, 0x4xf32, 3x4xf32",
    filled("z", "3xf32") + generic("%r0", "%x: 3x0xf32", "%z: 3xf32", "ij i", "pr", SUM)
    + "  %e = tensor.empty() : tensor<0x4xf32>\n  %r1 = whit.softmax ins(%y : tensor<0x4xf32>) outs(%e : tensor<0x4xf32>) -> tensor<0x4xf32>\n"
    + filled("q", "3x4xf32") + generic("%r2", "%x: 3x0xf32, %y: 0x4xf32", "%q: 3x4xf32", "mz zn mn", "ppr", PRODUCTS),
    {"x": whole(3, 0), "y": whole(0, 4)}, lambda x, y: [np.zeros(3), y, np.zeros((3, 4))])

CASES["a part of an input replaced"] = Case(
    "x: ?x6xf32, y: 2x3xf32", "?x6xf32, ?x6xf32",
    "  %n = tensor.dim %x, %c0 : tensor<?x6xf32>\n  %r0 = tensor.insert_slice %y into %x[1, 2] [2, 3] [1, 1] : tensor<2x3xf32> into tensor<?x6xf32>\n"
    "  %e = tensor.empty(%n) : tensor<?x6xf32>\n"
    + generic("%r1", "%x: ?x6xf32, %r0: ?x6xf32", "%e: ?x6xf32", "ij ij ij", "pp", "    %s = arith.addf %a0, %a1 : f32\n    linalg.yield %s : f32"),
    {"x": whole(4, 6), "y": whole(2, 3)},
    lambda x, y: (lambda z: [z, x + z])(np.concatenate([x[:1], np.concatenate([x[1:3, :2], y, x[1:3, 5:]], 1), x[3:]])), ("x0", "x0"))
CASES["parts of every kind"] = Case(
    "x: ?x3xf16, b: ?x20xi1, i: 2x?x4xi64", "?x6xf16, ?x40xi1, 2x?x9xi64",
    "  %r0 = tensor.concat dim(1) %x, %x : (tensor<?x3xf16>, tensor<?x3xf16>) -> tensor<?x6xf16>\n"
    "  %r1 = tensor.concat dim(1) %b, %b : (tensor<?x20xi1>, tensor<?x20xi1>) -> tensor<?x40xi1>\n  %k = arith.constant 5 : i64\n"
    "  %r2 = tensor.pad %i low[0, 0, 2] high[0, 0, 3] {\n  ^bb0(%u: index, %v: index, %w: index):\n    tensor.yield %k : i64\n  } : tensor<2x?x4xi64> to tensor<2x?x9xi64>",
    {"x": whole(3, 3, dtype=np.float16), "b": whole(5, 20, low=0, high=2, dtype=bool), "i": whole(2, 3, 4, dtype=np.int64)},
    lambda x, b, i: [np.concatenate([x, x], 1), np.concatenate([b, b], 1), np.pad(i, ((0, 0), (0, 0), (2, 3)), constant_values=5)], ("x0", "b0", "i1"))

# ------------------------------------------------------------------------------------------------ elements

CASES["booleans"] = Case(
    "x: 19xf32, b: 19xi1", "19xi1, 19xf32, 19xi64",
    "  %e = tensor.empty() : tensor<19xi1>\n  %f = tensor.empty() : tensor<19xf32>\n  %g = tensor.empty() : tensor<19xi64>\n"
    + generic("%r0", "%x: 19xf32, %b: 19xi1", "%e: 19xi1", "i i i", "p",
              "    %z = arith.constant 0.0 : f32\n    %p = arith.cmpf ogt, %a0, %z : f32\n    %q = arith.xori %p, %a1 : i1\n    linalg.yield %q : i1")
    + generic("%r1", "%r0: 19xi1, %x: 19xf32", "%f: 19xf32", "i i i", "p",
              "    %m = arith.constant -1.0 : f32\n    %s = arith.select %a0, %a1, %m : f32\n    linalg.yield %s : f32")
    + generic("%r2", "%b: 19xi1", "%g: 19xi64", "i i", "p", "    %s = arith.extui %a0 : i1 to i64\n    linalg.yield %s : i64"),
    {"x": whole(19), "b": whole(19, low=0, high=2, dtype=bool)},
    lambda x, b: [(x > 0) ^ b, np.where((x > 0) ^ b, x, -1), b.astype(np.int64)])
CASES["integers"] = Case(
    "x: 21xi32, y: 21xi32", "21xi32, 21xi8, 21xf32",
    "  %e = tensor.empty() : tensor<21xi32>\n  %f = tensor.empty() : tensor<21xi8>\n  %g = tensor.empty() : tensor<21xf32>\n"
    + generic("%r0", "%x: 21xi32, %y: 21xi32", "%e: 21xi32", "i i i", "p",
              "    %d = arith.divsi %a0, %a1 : i32\n    %r = arith.remsi %a0, %a1 : i32\n    %s = arith.addi %d, %r : i32\n    linalg.yield %s : i32")
    + generic("%r1", "%x: 21xi32", "%f: 21xi8", "i i", "p", "    %t = arith.trunci %a0 : i32 to i8\n    linalg.yield %t : i8")
    + generic("%r2", "%x: 21xi32", "%g: 21xf32", "i i", "p", "    %t = arith.sitofp %a0 : i32 to f32\n    linalg.yield %t : f32"),
    {"x": whole(21, low=-1000, high=1000, dtype=np.int32), "y": whole(21, low=1, high=9, dtype=np.int32)},
    lambda x, y: [(np.trunc(x / y) + np.fmod(x, y)).astype(np.int32), x.astype(np.int8), x.astype(np.float32)])
CASES["halves"] = Case(
    "x: 3x21xf16, w: 21xf16", "3x21xf16",
    "  %e = tensor.empty() : tensor<3x21xf16>\n"
    + generic("%r0", "%x: 3x21xf16, %w: 21xf16", "%e: 3x21xf16", "ij j ij", "pp",
              "    %p = arith.mulf %a0, %a1 : f16\n    %q = arith.addf %p, %a0 : f16\n    %m = arith.maximumf %q, %a1 : f16\n    linalg.yield %m : f16"),
    {"x": whole(3, 21, dtype=np.float16), "w": whole(21, dtype=np.float16)}, lambda x, w: [np.maximum(x * w + x, w)])
CASES["counting"] = Case(
    "x: ?xf32", "?xi64, 5x?xi1",
    "  %n = tensor.dim %x, %c0 : tensor<?xf32>\n  %e = tensor.empty(%n) : tensor<?xi64>\n  %f = tensor.empty(%n) : tensor<5x?xi1>\n"
    + generic("%r0", "", "%e: ?xi64", "i", "p",
              "    %i = linalg.index 0 : index\n    %k = arith.index_cast %i : index to i64\n    %three = arith.constant 3 : i64\n"
              "    %m = arith.muli %k, %three : i64\n    linalg.yield %m : i64")
    + generic("%r1", "", "%f: 5x?xi1", "ij", "pp",
              "    %i = linalg.index 0 : index\n    %j = linalg.index 1 : index\n    %l = arith.cmpi sle, %j, %i : index\n    linalg.yield %l : i1"),
    {"x": whole(18)}, lambda x: [np.arange(18) * 3, np.tri(5, 18, dtype=bool)], ("x0", "x0"))
CASES["functions"] = Case(
    "x: 300xf32", "300xf32",
    elementwise("f32", "f32", "\n".join(f"    %{i} = math.{f} %{'a0' if i == 0 else i - 1} : f32" for i, f in enumerate(
        ["tanh", "exp", "log1p", "sqrt", "sin", "cos", "erf", "atan", "sinh", "expm1", "floor"])) + "\n    %z = arith.addf %9, %10 : f32\n    linalg.yield %z : f32", shape="300"),
    {"x": random.standard_normal(300).astype(np.float32)})
CASES["remainders and doubles"] = Case(
    "x: 21xf32, y: 21xf32, d: 21xf64", "21xf32, 21xf64",
    "  %e = tensor.empty() : tensor<21xf32>\n  %f = tensor.empty() : tensor<21xf64>\n"
    + generic("%r0", "%x: 21xf32, %y: 21xf32", "%e: 21xf32", "i i i", "p", "    %m = arith.remf %a0, %a1 : f32\n    linalg.yield %m : f32")
    + generic("%r1", "%d: 21xf64, %x: 21xf32", "%f: 21xf64", "i i i", "p",
              "    %w = arith.extf %a1 : f32 to f64\n    %s = arith.addf %a0, %w : f64\n    %q = math.absf %s : f64\n    %r = math.sqrt %q : f64\n    linalg.yield %r : f64"),
    {"x": whole(21, low=-99, high=99), "y": whole(21, low=1, high=9), "d": random.standard_normal(21)},
    lambda x, y, d: [np.fmod(x, y), np.sqrt(np.abs(d + x))])
CASES["a constant"] = Case(
    "x: 2x3xf32", "2x3xf32",
    "  %k = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>\n  %e = tensor.empty() : tensor<2x3xf32>\n"
    + generic("%r0", "%x: 2x3xf32, %k: 2x3xf32", "%e: 2x3xf32", "ij ij ij", "pp", "    %s = arith.addf %a0, %a1 : f32\n    linalg.yield %s : f32"),
    {"x": whole(2, 3)}, lambda x: [x + np.arange(1, 7).reshape(2, 3)])

# ------------------------------------------------------------------------------------------------ sums

CASES["sums"] = Case(
    "x: ?x5x40xf32", "?x5xf32, ?x40xf32, 5x40xf32, f32",
    "  %n = tensor.dim %x, %c0 : tensor<?x5x40xf32>\n"
    + filled("z0", "?x5xf32", sizes="%n") + filled("z1", "?x40xf32", sizes="%n") + filled("z2", "5x40xf32") + filled("z3", "f32")
    + generic("%r0", "%x: ?x5x40xf32", "%z0: ?x5xf32", "ijk ij", "ppr", SUM)
    + generic("%r1", "%x: ?x5x40xf32", "%z1: ?x40xf32", "ijk ik", "prp", SUM)
    + generic("%r2", "%x: ?x5x40xf32", "%z2: 5x40xf32", "ijk jk", "rpp", SUM)
    + generic("%r3", "%x: ?x5x40xf32", "%z3: f32", "ijk .", "rrr", SUM),
    {"x": whole(6, 5, 40)}, lambda x: [x.sum(2), x.sum(1), x.sum(0), x.sum()], ("x0", "x0"))
CASES["a mean and what follows"] = Case(
    "x: ?x64xf32", "?xf32, ?x64xf32",
    "  %n = tensor.dim %x, %c0 : tensor<?x64xf32>\n" + filled("z", "?xf32", sizes="%n")
    + generic("%t", "%x: ?x64xf32", "%z: ?xf32", "ij i", "pr", SUM) + "  %e = tensor.empty(%n) : tensor<?xf32>\n  %f = tensor.empty(%n) : tensor<?x64xf32>\n"
    + generic("%r0", "%t: ?xf32", "%e: ?xf32", "i i", "p", "    %c = arith.constant 0.015625 : f32\n    %m = arith.mulf %a0, %c : f32\n    linalg.yield %m : f32")
    + generic("%r1", "%x: ?x64xf32, %r0: ?xf32", "%f: ?x64xf32", "ij i ij", "pp", "    %d = arith.subf %a0, %a1 : f32\n    linalg.yield %d : f32"),
    {"x": whole(7, 64)}, lambda x: [x.mean(1), x - x.mean(1, keepdims=True)], ("x0", "x0"))
CASES["maxima, products, any"] = Case(
    "x: 6x37xf32, b: 6x37xi1, i: 6x37xi64", "6xf32, 37xf32, 6xi1, 6xi64",
    "  %low = arith.constant 0xFF800000 : f32\n  %one = arith.constant 1.0 : f32\n  %no = arith.constant false\n  %nil = arith.constant 1 : i64\n"
    + filled("z0", "6xf32", "%low") + filled("z1", "37xf32", "%one") + filled("z2", "6xi1", "%no") + filled("z3", "6xi64", "%nil")
    + generic("%r0", "%x: 6x37xf32", "%z0: 6xf32", "ij i", "pr", SUM.replace("addf", "maximumf"))
    + generic("%r1", "%x: 6x37xf32", "%z1: 37xf32", "ij j", "rp", SUM.replace("addf", "mulf"))
    + generic("%r2", "%b: 6x37xi1", "%z2: 6xi1", "ij i", "pr", SUM.replace("addf", "ori").replace("f32", "i1"))
    + generic("%r3", "%i: 6x37xi64", "%z3: 6xi64", "ij i", "pr", SUM.replace("addf", "maxsi").replace("f32", "i64")),
    {"x": whole(6, 37), "b": whole(6, 37, low=0, high=20, dtype=np.int64) == 0, "i": whole(6, 37, dtype=np.int64)},
    lambda x, b, i: [x.max(1), x.prod(0), b.any(1), np.maximum(i.max(1), 1)])
CASES["where the largest is"] = Case(
    "x: 5x37xf32", "5xf32, 5xi64",
    "  %low = arith.constant 0xFF800000 : f32\n  %nil = arith.constant 0 : i64\n" + filled("z0", "5xf32", "%low") + filled("z1", "5xi64", "%nil")
    + "  %r0, %r1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>], iterator_types = [\"parallel\", \"reduction\"]}\n"
    "    ins(%x : tensor<5x37xf32>) outs(%z0, %z1 : tensor<5xf32>, tensor<5xi64>) {\n  ^bb0(%a: f32, %m: f32, %k: i64):\n"
    "    %j = linalg.index 1 : index\n    %jj = arith.index_cast %j : index to i64\n    %l = arith.cmpf ogt, %a, %m : f32\n"
    "    %v = arith.select %l, %a, %m : f32\n    %w = arith.select %l, %jj, %k : i64\n    linalg.yield %v, %w : f32, i64\n  } -> (tensor<5xf32>, tensor<5xi64>)",
    {"x": whole(5, 37, low=-90, high=90)}, lambda x: [x.max(1), x.argmax(1)])
CASES["a norm over two dimensions"] = Case(
    "x: ?x3x?x?xf32", "?x3xf32, ?x3x?x?xf32",
    "  %c2 = arith.constant 2 : index\n  %c3 = arith.constant 3 : index\n  %n = tensor.dim %x, %c0 : tensor<?x3x?x?xf32>\n"
    "  %h = tensor.dim %x, %c2 : tensor<?x3x?x?xf32>\n  %w = tensor.dim %x, %c3 : tensor<?x3x?x?xf32>\n"
    + filled("z", "?x3xf32", sizes="%n") + generic("%t", "%x: ?x3x?x?xf32", "%z: ?x3xf32", "abij ab", "pprr", SUM)
    + "  %e = tensor.empty(%n) : tensor<?x3xf32>\n  %f = tensor.empty(%n, %h, %w) : tensor<?x3x?x?xf32>\n"
    + generic("%r0", "%t: ?x3xf32", "%e: ?x3xf32", "ab ab", "pp", "    %c = arith.constant 0.5 : f32\n    %m = arith.mulf %a0, %c : f32\n    linalg.yield %m : f32")
    + generic("%d", "%x: ?x3x?x?xf32, %r0: ?x3xf32", "%f: ?x3x?x?xf32", "abij ab abij", "pppp", "    %d1 = arith.subf %a0, %a1 : f32\n    linalg.yield %d1 : f32")
    + generic("%q", "%d: ?x3x?x?xf32", "%f: ?x3x?x?xf32", "abij abij", "pppp", "    %d2 = arith.mulf %a0, %a0 : f32\n    linalg.yield %d2 : f32")
    + generic("%r1", "%d: ?x3x?x?xf32, %q: ?x3x?x?xf32", "%f: ?x3x?x?xf32", "abij abij abij", "pppp", "    %d3 = arith.addf %a0, %a1 : f32\n    linalg.yield %d3 : f32"),
    {"x": whole(2, 3, 4, 21)}, lambda x: (lambda m: [m, (lambda d: d + d * d)(x - m[..., None, None])])(x.sum((2, 3)) / 2), ("x0", "x0", "x2", "x3"))
CASES["softmax"] = Case(
    "x: ?x4x?xf32", "?x4x?xf32",
    "  %c2 = arith.constant 2 : index\n  %n = tensor.dim %x, %c0 : tensor<?x4x?xf32>\n  %k = tensor.dim %x, %c2 : tensor<?x4x?xf32>\n"
    "  %e = tensor.empty(%n, %k) : tensor<?x4x?xf32>\n"
    + generic("%m", "%x: ?x4x?xf32", "%e: ?x4x?xf32", "ijk ijk", "ppp", "    %c = arith.constant 0.125 : f32\n    %s = arith.mulf %a0, %c : f32\n    linalg.yield %s : f32")
    + "  %r0 = whit.softmax ins(%m : tensor<?x4x?xf32>) outs(%e : tensor<?x4x?xf32>) -> tensor<?x4x?xf32>",
    {"x": random.standard_normal((3, 4, 77)).astype(np.float32)}, None, ("x0", "x2"))

# ------------------------------------------------------------------------------------------------ products

CASES["a matmul of activations"] = Case(
    "x: ?x70xf32, w: 70x150xf32", "?x150xf32",
    "  %n = tensor.dim %x, %c0 : tensor<?x70xf32>\n" + filled("z", "?x150xf32", sizes="%n")
    + generic("%t", "%x: ?x70xf32, %w: 70x150xf32", "%z: ?x150xf32", "mk kn mn".replace("k", "z"), "ppr", PRODUCTS)
    + "  %e = tensor.empty(%n) : tensor<?x150xf32>\n"
    + generic("%r0", "%t: ?x150xf32", "%e: ?x150xf32", "ij ij", "pp", "    %c = arith.constant 2.0 : f32\n    %s = arith.mulf %a0, %c : f32\n    linalg.yield %s : f32"),
    {"x": whole(21, 70), "w": whole(70, 150)}, lambda x, w: [2 * x @ w], ("x0",))
CASES["heads times heads"] = Case(
    "q: ?x3x?x20xf32, k: ?x3x33x20xf32", "?x3x?x33xf32",
    "  %c2 = arith.constant 2 : index\n  %n = tensor.dim %q, %c0 : tensor<?x3x?x20xf32>\n  %s0 = tensor.dim %q, %c2 : tensor<?x3x?x20xf32>\n"
    + filled("z", "?x3x?x33xf32", sizes="%n, %s0")
    + generic("%r0", "%q: ?x3x?x20xf32, %k: ?x3x33x20xf32", "%z: ?x3x?x33xf32", "bhmz bhnz bhmn", "ppppr", PRODUCTS),
    {"q": whole(2, 3, 9, 20), "k": whole(2, 3, 33, 20)}, lambda q, k: [q @ k.transpose(0, 1, 3, 2)], ("q0", "q2"))
CASES["halves and integers multiplied"] = Case(
    "x: 5x24xf16, w: 24x40xf16, i: 5x24xi8, j: 40x24xi8", "5x40xf32, 5x40xi32",
    "  %nil = arith.constant 0 : i32\n" + filled("z0", "5x40xf32") + filled("z1", "5x40xi32", "%nil")
    + generic("%r0", "%x: 5x24xf16, %w: 24x40xf16", "%z0: 5x40xf32", "mz zn mn", "ppr",
              "    %l = arith.extf %a0 : f16 to f32\n    %r = arith.extf %a1 : f16 to f32\n    %p = arith.mulf %l, %r : f32\n    %s = arith.addf %a2, %p : f32\n    linalg.yield %s : f32")
    + generic("%r1", "%i: 5x24xi8, %j: 40x24xi8", "%z1: 5x40xi32", "mz nz mn", "ppr",
              "    %l = arith.extsi %a0 : i8 to i32\n    %r = arith.extsi %a1 : i8 to i32\n    %p = arith.muli %l, %r : i32\n    %s = arith.addi %a2, %p : i32\n    linalg.yield %s : i32"),
    {"x": whole(5, 24, dtype=np.float16), "w": whole(24, 40, dtype=np.float16), "i": whole(5, 24, dtype=np.int8), "j": whole(40, 24, dtype=np.int8)},
    lambda x, w, i, j: [x.astype(np.float32) @ w.astype(np.float32), i.astype(np.int32) @ j.T.astype(np.int32)])
CASES["a vector times a matrix"] = Case(
    "x: 70xf32, w: 70x33xf32", "33xf32, f32",
    filled("z", "33xf32") + generic("%r0", "%x: 70xf32, %w: 70x33xf32", "%z: 33xf32", "z zn n", "pr", PRODUCTS)
    + filled("y", "f32") + generic("%r1", "%x: 70xf32, %x: 70xf32", "%y: f32", "z z .", "r", PRODUCTS),
    {"x": whole(70), "w": whole(70, 33)}, lambda x, w: [x @ w, x @ x])
CASES["a convolution"] = Case(
    "x: 2x3x9x20xf32, w: 4x3x3x3xf32", "2x4x7x18xf32",
    filled("z", "2x4x7x18xf32")
    + "  %r0 = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<2x3x9x20xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<2x4x7x18xf32>) -> tensor<2x4x7x18xf32>",
    {"x": whole(2, 3, 9, 20), "w": whole(4, 3, 3, 3)},
    lambda x, w: [np.einsum("nchwij,fcij->nfhw", np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)), w)])


@pytest.mark.parametrize("name", CASES)
def test_compiles_to_what_it_means(tools, tmp_path, name):
    case = CASES[name]
    (tmp_path / "m.mlir").write_text(module(case))
    tools.run("whit-compile", tmp_path / "m.mlir", "--start-from=imported", "-o", tmp_path / "m.so", "--quiet")
    np.savez(tmp_path / "in.npz", **case.feeds)
    if not any(a.dtype == np.float16 for a in case.feeds.values()):  # a replay takes no halves
        tools.run("whit-check", tmp_path / "m.mlir", tmp_path / "m.so", "--inputs", tmp_path / "in.npz")
    if not case.expected:
        return
    one, two = (tools.infer(tmp_path / "m.so", case.feeds, f"--threads={n}") for n in (1, 2))
    for i, expected in enumerate(case.expected(*case.feeds.values())):
        np.testing.assert_array_equal(one[f"r{i}"], expected, err_msg=f"result {i}")
        assert one[f"r{i}"].tobytes() == two[f"r{i}"].tobytes()
