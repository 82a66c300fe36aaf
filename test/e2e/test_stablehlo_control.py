# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""while, case and reduce by the constraints of the StableHLO specification."""
import numpy as np
from stablehlo_cases import Broken, Case, family, type_of

random = np.random.default_rng(3)
X = random.standard_normal((3, 4)).astype(np.float32)
I = random.integers(-9, 9, (3, 4)).astype(np.int32)
N, FAR, AT = np.array(3, np.int32), np.array(99, np.int32), np.array(1, np.int32)
Z = np.array(2, np.int32)
INPUTS = {"x": X, "i": I, "n": N, "far": FAR, "at": AT, "z": Z}
T, S = "tensor<3x4xf32>", "tensor<i32>"


def loop(condition, step, start=0, before="", state="%y = stablehlo.add %a, %x : " + T):
    """Counts in %c from `start` and changes %a."""
    return f"""{before}
    %begin = stablehlo.constant dense<{start}> : {S}
    %r:2 = stablehlo.while(%c = %begin, %a = %x) : {S}, {T}
    cond {{
      {condition}
      stablehlo.return %p : tensor<i1>
    }} do {{
      {step}
      {state}
      stablehlo.return %d, %y : {S}, {T}
    }}"""


def number(name, value):
    return f"%{name} = stablehlo.constant dense<{value}> : {S}\n      "


def less(y, how="LT", x="c", to="p"):
    return f"%{to} = stablehlo.compare {how}, %{x}, %{y}, SIGNED : ({S}, {S}) -> tensor<i1>\n      "


def plus(value):
    return number("one", value) + f"%d = stablehlo.add %c, %one : {S}"


def sums(count):
    """x added `count` times to itself, in f32."""
    y = X.copy()
    for _ in range(count):
        y = y + X
    return y


def ended(count, last):
    return (np.array(last, np.int32), sums(count))


BOUND = number("m", 8) + less("m", to="q")
BY_DATA = BOUND + less("n", to="s") + "%p = stablehlo.and %q, %s : tensor<i1>"
BRANCHES = f"""%r = "stablehlo.case"(%INDEX) ({{
      %y = stablehlo.negate %x : {T}
      stablehlo.return %y : {T}
    }}, {{
      stablehlo.return %x : {T}
    }}, {{
      %y = stablehlo.add %x, %x : {T}
      stablehlo.return %y : {T}
    }}) : ({S}) -> {T}"""
RED = f"""%r = stablehlo.reduce(%i init: %z) across dimensions = [0] : (tensor<3x4xi32>, {S}) -> tensor<4xi32>
     reducer(%a: {S}, %b: {S}) {{
      %t = stablehlo.maximum %a, %b : {S}
      %u = stablehlo.add %t, %n : {S}
      %v = stablehlo.subtract %u, %n : {S}
      stablehlo.return %v : {S}
    }}"""
CASES = {
    "counts up": Case(loop(number("m", 5) + less("m"), plus(2)), ended(3, 6), "while C1-C3"),
    "counts to and with": Case(loop(number("m", 4) + less("m", "LE"), plus(2)), ended(3, 6), "C1"),
    "counts down": Case(loop(number("m", 0) + less("m", "GT"), plus(-1), start=4), ended(4, 0), "C1"),
    "doubles": Case(loop(number("m", 20) + less("m", "NE"), number("two", 2) + f"%d = stablehlo.multiply %c, %two : {S}", start=5), ended(2, 20), "C2"),
    "never": Case(loop(number("m", 0) + less("m", "NE"), plus(1)), ended(0, 0), "C3"),
    "until a number that comes at the call": Case(loop(BY_DATA, plus(1)), ended(3, 3), "C1"),
    "until a number that comes too late": Case(loop(BY_DATA.replace("%n,", "%far,"), plus(1)), ended(8, 8), "C1"),
    "until a sum is reached": Case(loop(BOUND + f"""%zero = stablehlo.constant dense<0.0> : tensor<f32>
      %square = stablehlo.multiply %a, %a : {T}
      %sum = stablehlo.reduce(%square init: %zero) applies stablehlo.add across dimensions = [0, 1] : ({T}, tensor<f32>) -> tensor<f32>
      %limit = stablehlo.constant dense<{(X * X).sum() * 10}> : tensor<f32>
      %s = stablehlo.compare LT, %sum, %limit, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %p = stablehlo.and %q, %s : tensor<i1>""", plus(1)), ended(3, 3), "C1"),
    "a part that is empty": Case(f"""%none = stablehlo.slice %x [3:3, 0:4] : ({T}) -> tensor<0x4xf32>
    %r = stablehlo.concatenate %none, %x, dim = 0 : (tensor<0x4xf32>, {T}) -> {T}""", X, "slice C3"),
    "barrier": Case(f"%r:2 = stablehlo.optimization_barrier %x, %i : {T}, tensor<3x4xi32>", (X, I), "C1"),
    "case of a constant": Case(number("k", 2) + BRANCHES.replace("%INDEX", "%k"), X + X, "case C1-C4"),
    "case of data": Case(BRANCHES.replace("%INDEX", "%at"), X, "C1"),
    "case beyond the last": Case(BRANCHES.replace("%INDEX", "%far"), X + X, "C1"),
    "reduce with values from outside": Case(RED, np.maximum(I.max(0), 2), "reduce C1-C8"),
}
C = CASES["counts up"].text
BROKEN = {
    "a condition that is none": Broken(C.replace("stablehlo.return %p : tensor<i1>", f"stablehlo.return %m : {S}"), "while C1", "the condition of"),
    "another state": Broken(C.replace(f"stablehlo.return %d, %y : {S}, {T}", f"stablehlo.return %d, %d : {S}, {S}"), "while C2", "the body of"),
    "barrier of other types": Broken(f'%r = "stablehlo.optimization_barrier"(%x) : ({T}) -> {S}', "optimization_barrier C1", "they must be the same"),
    "no branches": Broken(f'%r = "stablehlo.case"(%at) : ({S}) -> {T}', "case C1", "has no branches"),
    "branches with arguments": Broken(BRANCHES.replace("%INDEX", "%at").replace(f"%y = stablehlo.negate %x : {T}", f"^bb0(%a: {S}):\n      %y = stablehlo.negate %x : {T}"),
                                      "case C2", "branch has arguments"),
    "branches of two types": Broken(BRANCHES.replace("%INDEX", "%at").replace(f"stablehlo.return %x : {T}", f"stablehlo.return %at : {S}"), "case C3", "the branch of"),
    "an index of floats": Broken(BRANCHES.replace("(%INDEX)", "(%f)").replace(f"({S}) ->", "(tensor<f32>) ->"), "case I1", "index has type"),
    "a dimension twice": Broken(RED.replace("dimensions = [0]", "dimensions = [0, 0]"), "reduce C5", "has dimension 0 twice"),
    "a dimension beyond": Broken(RED.replace("dimensions = [0]", "dimensions = [2]"), "reduce C4", "has dimension 2"),
    "result of a reduction": Broken(RED.replace("-> tensor<4xi32>", "-> tensor<3xi32>"), "reduce C7", "it must have the shape"),
    "body of a reduction": Broken(RED.replace(f"stablehlo.return %v : {S}", "stablehlo.return"), "reduce C6", "needs ('tensor<i32>')"),
}
PREAMBLE = ", ".join(f"%{name}: {type_of(array)}" for name, array in {**INPUTS, "f": np.array(0, np.float32)}.items())
computed, refused, test_case, test_broken = family(CASES, BROKEN, INPUTS, PREAMBLE)
