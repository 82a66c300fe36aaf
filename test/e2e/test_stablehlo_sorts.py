# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""sort, top_k and scatter by the constraints of the StableHLO specification."""

import numpy as np
from stablehlo_cases import Broken, Case, family, type_of

random = np.random.default_rng(2)
X = random.integers(-9, 9, (3, 11, 4)).astype(np.float32)
X[0, 3, 1], X[0, 4, 1], X[1, 2, 0], X[2, 0, 0] = np.nan, -np.inf, np.inf, -0.0
Y = np.arange(3 * 11 * 4, dtype=np.int32).reshape(3, 11, 4)
U = random.integers(0, 256, (2, 37)).astype(np.uint8)
L = random.permutation(300).astype(np.int32)
O = random.integers(-9, 9, (4, 5, 3)).astype(np.int32)
S = np.array([[0, 1], [3, 4], [0, 1], [7, 0], [-1, 2]], np.int32)  # two of them are outside
A = random.integers(-9, 9, (5, 3)).astype(np.int32)
W = random.integers(-9, 9, (5, 2, 3)).astype(np.int32)
R = np.array([[1], [0], [2], [0]], np.int64)  # a start for each of a batch
Q = random.integers(-9, 9, (4, 2, 3)).astype(np.int32)
D = np.array([2, 1], np.int32)
E = random.integers(-9, 9, (3,)).astype(np.int32)
INPUTS = {"x": X, "y": Y, "u": U, "l": L, "o": O, "s": S, "a": A, "w": W, "q": Q, "starts": R, "d": D, "e": E}


def sort(names, dim, before, rules, stable=True, key=None):
    arrays = [INPUTS[name] for name in names]
    axis = dim % arrays[0].ndim
    order = np.argsort(key(arrays), axis=axis, kind="stable")
    results = tuple(np.take_along_axis(array, order, axis) for array in arrays)
    arguments = ", ".join(f"%{c}{i}: tensor<{type_of(np.array(0, array.dtype))[7:-1]}>" for i, array in enumerate(arrays) for c in "mn")
    types = ", ".join(map(type_of, arrays))
    text = f"""%r:{len(names)} = "stablehlo.sort"({', '.join('%' + name for name in names)}) <{{dimension = {dim} : i64, is_stable = {str(stable).lower()}}}> ({{
    ^bb0({arguments}):
      {before}
      stablehlo.return %p : tensor<i1>
    }}) : ({types}) -> ({types})"""
    if len(names) == 1:
        return Case(text.replace("%r:1", "%r"), results[0], rules)
    return Case(text, results, rules)


def compare(how, i, kind, extra=""):
    return f"%p = stablehlo.compare {how}, %m{i}, %n{i}{extra} : (tensor<{kind}>, tensor<{kind}>) -> tensor<i1>"


def ordered(x):
    """Floats as integers in the order -NaN ... -0 0 ... NaN."""
    bits = x.view(np.int32)
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)


def top(name, k, rules):
    x = INPUTS[name]
    keys = ordered(x) if x.dtype == np.float32 else x.astype(np.int64)
    order = np.argsort(-keys, axis=-1, kind="stable")[..., :k].astype(np.int32)
    values = np.take_along_axis(x, order, -1)
    return Case(f"%r:2 = chlo.top_k(%{name}, k = {k}) : {type_of(x)} -> ({type_of(values)}, {type_of(order)})", (values, order), rules)


def scatter(x, indices, updates, function, body, rules, window=(), inserted=(), batching=(), indices_batching=(), dims=(), vector=0):
    names, (x, indices, updates) = (x, indices, updates), (INPUTS[name] for name in (x, indices, updates))
    y, depth = x.copy(), indices.ndim
    kept = [d for d in range(x.ndim) if d not in inserted and d not in batching]
    outer = [d for d in range(updates.ndim) if d not in window]
    for at in np.ndindex(*updates.shape):
        place = [at[d] for d in outer]
        wide = place.copy()
        wide.insert(vector, slice(None))
        start = np.atleast_1d(indices[tuple(wide[:depth])])
        target = np.zeros(x.ndim, int)
        for k, d in enumerate(dims):
            target[d] += start[k]
        for d, of in zip(batching, indices_batching):
            target[d] += place[of - (of > vector)]
        for d, w in zip(kept, window):
            target[d] += at[w]
        if all(0 <= t < size for t, size in zip(target, x.shape)):
            y[tuple(target)] = function(y[tuple(target)], updates[at])
    fields = [("update_window_dims", window), ("inserted_window_dims", inserted), ("input_batching_dims", batching),
              ("scatter_indices_batching_dims", indices_batching), ("scatter_dims_to_operand_dims", dims)]
    numbers = ", ".join(f"{name} = {list(values)}" for name, values in fields if values)
    kind = type_of(np.array(0, x.dtype))
    text = f"""%r = "stablehlo.scatter"({', '.join('%' + n for n in names)}) <{{indices_are_sorted = false, unique_indices = false,
      scatter_dimension_numbers = #stablehlo.scatter<{numbers}, index_vector_dim = {vector}>}}> ({{
    ^bb0(%m: {kind}, %n: {kind}):
      {body}
      stablehlo.return %v : {kind}
    }}) : ({type_of(x)}, {type_of(indices)}, {type_of(updates)}) -> {type_of(x)}"""
    return Case(text, y, rules)


ADD, PUT = "%v = stablehlo.add %m, %n : tensor<i32>", "%v = stablehlo.minimum %n, %n : tensor<i32>"
KEYS = "%p = stablehlo.compare LT, %m0, %n0, TOTALORDER : (tensor<f32>, tensor<f32>) -> tensor<i1>"
CASES = {
    "along the middle": sort("x", 1, KEYS, "C1-C5", key=lambda x: ordered(x[0])),
    "along the last": sort("x", -1, KEYS, "C3", key=lambda x: ordered(x[0])),
    "two that go together": sort("xy", 0, KEYS, "C2 C4", key=lambda x: ordered(x[0])),
    "greatest first": sort("u", 1, compare("GT", 0, "ui8"), "C5", key=lambda x: -x[0].astype(int)),
    "a long line": sort("l", 0, compare("LT", 0, "i32"), "C1", stable=False, key=lambda x: x[0]),
    "by the remainder, then backwards": sort("y", 1, """%c = stablehlo.constant dense<5> : tensor<i32>
      %u1 = stablehlo.remainder %m0, %c : tensor<i32>
      %u2 = stablehlo.remainder %n0, %c : tensor<i32>
      %lt = stablehlo.compare LT, %u1, %u2 : (tensor<i32>, tensor<i32>) -> tensor<i1>
      %eq = stablehlo.compare EQ, %u1, %u2 : (tensor<i32>, tensor<i32>) -> tensor<i1>
      %gt = stablehlo.compare GT, %m0, %n0 : (tensor<i32>, tensor<i32>) -> tensor<i1>
      %b = stablehlo.and %eq, %gt : tensor<i1>
      %p = stablehlo.or %lt, %b : tensor<i1>""", "C5", key=lambda x: (x[0] % 5) * 1000 - x[0]),
    "top of floats": top("x", 2, "chlo"),
    "top of bytes": top("u", 9, "chlo"),
    "add at places": scatter("o", "s", "a", np.add, ADD, "C1-C24", window=(1,), inserted=(0, 1), dims=(0, 1), vector=1),
    "the last one stays": scatter("o", "s", "a", lambda x, y: y, PUT, "C8", window=(1,), inserted=(0, 1), dims=(0, 1), vector=1),
    "windows that stick out": scatter("o", "s", "w", np.add, ADD, "C11", window=(1, 2), inserted=(0,), dims=(0, 1), vector=1),
    "dimensions in another order": scatter("o", "s", "a", np.add, ADD, "C19", window=(1,), inserted=(0, 1), dims=(1, 0), vector=1),
    "a start for each of a batch": scatter("o", "starts", "q", np.add, ADD, "C12-C18", window=(1, 2), batching=(0,), indices_batching=(0,), dims=(1,), vector=1),
    "one place": scatter("o", "d", "e", lambda x, y: y, PUT, "C8", window=(0,), inserted=(0, 1), dims=(0, 1), vector=0),
    "indices without a vector": scatter("l", "l", "l", np.maximum, "%v = stablehlo.maximum %m, %n : tensor<i32>", "C22", inserted=(0,), dims=(0,), vector=1),
}


def change(case, old, new):
    assert old in case.text, old
    return case.text.replace(old, new)


F, A0 = CASES["along the middle"], CASES["add at places"]
B0 = CASES["a start for each of a batch"]
BROKEN = {
    "dimension": Broken(change(F, "dimension = 1", "dimension = 3"), "C4", "dimension is 3; it must be from -3 to 2"),
    "comparison": Broken(change(F, "^bb0(%m0: tensor<f32>, %n0: tensor<f32>)", "^bb0(%m0: tensor<f32>)").replace("%n0", "%m0"), "C5", "body has 1 arguments"),
    "not a condition": Broken(change(F, "return %p : tensor<i1>", "return %m0 : tensor<f32>"), "C5", "stablehlo.sort' needs ('tensor<i1>')"),
    "k": Broken("%r:2 = chlo.top_k(%x, k = 9) : tensor<3x11x4xf32> -> (tensor<3x11x9xf32>, tensor<3x11x9xi32>)", "chlo", "k is 9"),
    "window dimensions": Broken(change(A0, "update_window_dims = [1]", "update_window_dims = [1, 0]"), "C7", "update_window_dims is not sorted"),
    "a window dimension beyond": Broken(change(A0, "update_window_dims = [1]", "update_window_dims = [2]"), "C8", "update_window_dims has dimension 2"),
    "too few of them": Broken(change(A0, "inserted_window_dims = [0, 1]", "inserted_window_dims = [0]"), "C2", "dimensions of the input"),
    "inserted and of a batch": Broken(change(B0, "input_batching_dims = [0]", "inserted_window_dims = [0], input_batching_dims = [0]"), "C9",
                                      "has dimension 0 twice"),
    "batching dimensions": Broken(change(B0, "scatter_indices_batching_dims = [0], ", ""), "C17", "scatter_indices_batching_dims has 0 elements"),
    "length of a vector": Broken(change(A0, "scatter_dims_to_operand_dims = [0, 1]", "scatter_dims_to_operand_dims = [0]"), "C19",
                                 "scatter_indices holds indices of 2 elements"),
    "a start twice": Broken(change(A0, "scatter_dims_to_operand_dims = [0, 1]", "scatter_dims_to_operand_dims = [0, 0]"), "C20", "has dimension 0 twice"),
    "vector dimension": Broken(change(A0, "index_vector_dim = 1", "index_vector_dim = 3"), "C22", "index_vector_dim is 3"),
    "window larger than the input": Broken("%big = stablehlo.concatenate %a, %a, dim = 1 : (tensor<5x3xi32>, tensor<5x3xi32>) -> tensor<5x6xi32>\n"
                                           + change(A0, "%a)", "%big)").replace("tensor<5x3xi32>) ->", "tensor<5x6xi32>) ->"), "C4", "update has size 6"),
    "shape of updates": Broken(change(A0, "%a)", "%q)").replace("tensor<5x3xi32>) ->", "tensor<4x2x3xi32>) ->"), "C4", "update has"),
    "body of a scatter": Broken(change(A0, "^bb0(%m: tensor<i32>, %n: tensor<i32>)", "^bb0(%m: tensor<i32>, %n: tensor<i32>, %k: tensor<i32>)"), "C23",
                                "body has 3 arguments"),
}
PREAMBLE = ", ".join(f"%{name}: {type_of(array)}" for name, array in INPUTS.items())
computed, refused, test_case, test_broken = family(CASES, BROKEN, INPUTS, PREAMBLE)
