# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operations of StableHLO compute what numpy computes in f64, rounded once."""
import numpy as np
import pytest

random = np.random.default_rng(0)
F = random.standard_normal((4, 6)).astype(np.float32) * 2
G = random.standard_normal((4, 6)).astype(np.float32)
POSITIVE = np.abs(G) + np.float32(0.25)
I = random.integers(-40, 40, (4, 6)).astype(np.int32)
J = random.integers(1, 9, (4, 6)).astype(np.int32)
K = np.array([[3], [0], [7]], np.int32)
AT = np.array(9, np.int32)
INPUTS = {"f": F, "g": G, "p": POSITIVE, "i": I, "j": J, "k": K, "at": AT}
TYPES = {np.dtype("float32"): "f32", np.dtype("int32"): "i32", np.dtype("bool"): "i1"}
erf = np.vectorize(__import__("math").erf)
T, B = "tensor<4x6xf32>", "tensor<4x6xi1>"


def unary(name, function, x="f"):
    return f"{name} %{x} : {T}", function(INPUTS[x].astype(np.float64)).astype(np.float32)


def binary(name, function, x="f", y="g"):
    kind = TYPES[INPUTS[x].dtype]
    wide = np.float64 if kind == "f32" else np.int64
    return f"{name} %{x}, %{y} : tensor<4x6x{kind}>", function(INPUTS[x].astype(wide), INPUTS[y].astype(wide)).astype(INPUTS[x].dtype)


def rounded(x):
    return np.asarray(x, np.float64).astype(np.float32)


ZERO = "%z = stablehlo.constant dense<0.000000e+00> : tensor<f32>"
NONE = "%n = stablehlo.constant dense<0> : tensor<i32>"
CASES = {
    "abs": unary("stablehlo.abs", np.abs),
    "cosine": unary("stablehlo.cosine", np.cos),
    "exponential": unary("stablehlo.exponential", np.exp),
    "log": unary("stablehlo.log", np.log, "p"),
    "negate": unary("stablehlo.negate", np.negative),
    "round_nearest_even": unary("stablehlo.round_nearest_even", np.rint),
    "rsqrt": unary("stablehlo.rsqrt", lambda x: 1 / np.sqrt(x), "p"),
    "sine": unary("stablehlo.sine", np.sin),
    "sqrt": unary("stablehlo.sqrt", np.sqrt, "p"),
    "tanh": unary("stablehlo.tanh", np.tanh),
    "floor": unary("stablehlo.floor", np.floor),
    "ceil": unary("stablehlo.ceil", np.ceil),
    "sign": unary("stablehlo.sign", np.sign),
    "logistic": unary("stablehlo.logistic", lambda x: 1 / (1 + np.exp(-x))),
    "erf": (f"chlo.erf %f : {T} -> {T}", rounded(erf(F.astype(np.float64)))),
    "square": (f"chlo.square %f : {T} -> {T}", F * F),
    "add": binary("stablehlo.add", np.add),
    "subtract": binary("stablehlo.subtract", np.subtract),
    "multiply": binary("stablehlo.multiply", np.multiply),
    "divide": binary("stablehlo.divide", np.divide),
    "maximum": binary("stablehlo.maximum", np.maximum),
    "minimum": binary("stablehlo.minimum", np.minimum),
    "power": binary("stablehlo.power", np.power, "p", "g"),
    "divide integers": binary("stablehlo.divide", lambda x, y: np.trunc(x / y), "i", "j"),
    "remainder": binary("stablehlo.remainder", np.fmod, "i", "j"),
    "and": binary("stablehlo.and", np.bitwise_and, "i", "j"),
    "or": binary("stablehlo.or", np.bitwise_or, "i", "j"),
    "xor": binary("stablehlo.xor", np.bitwise_xor, "i", "j"),
    "shift_left": binary("stablehlo.shift_left", np.left_shift, "i", "j"),
    "shift_right_logical": (
        "stablehlo.shift_right_logical %i, %j : tensor<4x6xi32>",
        (I.view(np.uint32) >> J.view(np.uint32)).view(np.int32),
    ),
    "convert": ("stablehlo.convert %i : (tensor<4x6xi32>) -> tensor<4x6xf32>", I.astype(np.float32)),
    "bitcast_convert": ("stablehlo.bitcast_convert %f : (tensor<4x6xf32>) -> tensor<4x6xi32>", F.view(np.int32)),
    "compare and select": (
        f"stablehlo.select %c, %f, %g : {B}, {T}",
        np.where(F < G, F, G),
        f"%c = stablehlo.compare LT, %f, %g, FLOAT : ({T}, {T}) -> {B}",
    ),
    "clamp": (f"stablehlo.clamp %z, %f, %p : (tensor<f32>, {T}, {T}) -> {T}", np.minimum(np.maximum(F, 0), POSITIVE), ZERO),
    "constant": ("stablehlo.constant dense<[1, 5, 2]> : tensor<3xi32>", np.array([1, 5, 2], np.int32)),
    "iota": ("stablehlo.iota dim = 0 : tensor<4x6xi32>", np.arange(4, dtype=np.int32)[:, None].repeat(6, 1)),
    "broadcast_in_dim": (
        "stablehlo.broadcast_in_dim %k, dims = [1, 0] : (tensor<3x1xi32>) -> tensor<2x3xi32>",
        np.broadcast_to(K.T, (2, 3)),
    ),
    "concatenate": (f"stablehlo.concatenate %f, %g, dim = 1 : ({T}, {T}) -> tensor<4x12xf32>", np.concatenate([F, G], 1)),
    "reshape": (f"stablehlo.reshape %f : ({T}) -> tensor<3x8xf32>", F.reshape(3, 8)),
    "reverse": (f"stablehlo.reverse %f, dims = [1] : {T}", F[:, ::-1]),
    "slice": (f"stablehlo.slice %f [1:4, 0:6:2] : ({T}) -> tensor<3x3xf32>", F[1:4, 0:6:2]),
    "transpose": (f"stablehlo.transpose %f, dims = [1, 0] : ({T}) -> tensor<6x4xf32>", F.T),
    "pad": (
        f"stablehlo.pad %f, %z, low = [1, -1], high = [0, 2], interior = [0, 0] : ({T}, tensor<f32>) -> tensor<5x7xf32>",
        np.pad(F[:, 1:], ((1, 0), (0, 2))),
        ZERO,
    ),
    # Starts are clamped: 9 is beyond the last place.
    "dynamic_slice": (f"stablehlo.dynamic_slice %f, %at, %n, sizes = [2, 6] : ({T}, tensor<i32>, tensor<i32>) -> tensor<2x6xf32>", F[2:4], NONE),
    "dynamic_update_slice": (
        f"stablehlo.dynamic_update_slice %f, %s, %at, %n : ({T}, tensor<1x6xf32>, tensor<i32>, tensor<i32>) -> {T}",
        np.concatenate([F[:3], G[:1]]),
        f"{NONE}\n    %s = stablehlo.slice %g [0:1, 0:6] : ({T}) -> tensor<1x6xf32>",
    ),
    "gather": (
        '"stablehlo.gather"(%f, %k) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], '
        f"start_index_map = [0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 6>}}> : ({T}, tensor<3x1xi32>) -> tensor<3x6xf32>",
        F[[3, 0, 3]],
    ),
    "dot_general": (
        f"stablehlo.dot_general %f, %g, contracting_dims = [1] x [1], precision = [DEFAULT, DEFAULT] : ({T}, {T}) -> tensor<4x4xf32>",
        rounded(F.astype(np.float64) @ G.astype(np.float64).T),
    ),
    "dot_general in batches": (
        f"stablehlo.dot_general %f, %g, batching_dims = [0] x [0], contracting_dims = [1] x [1] : ({T}, {T}) -> tensor<4xf32>",
        rounded((F.astype(np.float64) * G).sum(1)),
    ),
    "reduce": (
        f"stablehlo.reduce(%f init: %z) applies stablehlo.add across dimensions = [1] : ({T}, tensor<f32>) -> tensor<4xf32>",
        rounded(F.astype(np.float64).sum(1)),
        ZERO,
    ),
    "reduce to the largest": (
        f"stablehlo.reduce(%f init: %z) applies stablehlo.maximum across dimensions = [0] : ({T}, tensor<f32>) -> tensor<6xf32>",
        np.maximum(F.max(0), 0),
        ZERO,
    ),
}


def type_of(array):
    return "tensor<" + "".join(f"{size}x" for size in array.shape) + TYPES[array.dtype] + ">"


def program(case):
    line, expected, *before = case
    arguments = ", ".join(f"%{name}: {type_of(array)}" for name, array in INPUTS.items())
    body = "\n    ".join([*before, f"%result = {line}", f"return %result : {type_of(expected)}"])
    return f"module {{\n  func.func public @main({arguments}) -> {type_of(expected)} {{\n    {body}\n  }}\n}}\n"


@pytest.fixture(scope="module")
def results(tools, tmp_path_factory):
    """All cases in one program: a function each, called by @main, so one compilation serves all tests."""
    folder = tmp_path_factory.mktemp("operations")
    arguments = ", ".join(f"%{name}: {type_of(array)}" for name, array in INPUTS.items())
    inputs, types = ", ".join(f"%{name}" for name in INPUTS), ", ".join(type_of(array) for array in INPUTS.values())
    functions, calls, outputs = [], [], []
    for n, case in enumerate(CASES.values()):
        functions.append(program(case).replace("module {\n", "").replace("public @main", f"private @case{n}").rsplit("}\n", 1)[0])
        calls.append(f"%{n} = call @case{n}({inputs}) : ({types}) -> {type_of(case[1])}")
        outputs.append(type_of(case[1]))
    main = "\n    ".join([*calls, "return " + ", ".join(f"%{n}" for n in range(len(calls))) + " : " + ", ".join(outputs)])
    source, artifact = folder / "operations.mlir", folder / "operations.so"
    source.write_text("module {\n" + f"  func.func public @main({arguments}) -> ({', '.join(outputs)}) {{\n    {main}\n  }}\n" + "".join(functions) + "}\n")
    tools.run("whit-compile", source, "-o", artifact)
    used = {f"arg{n}": array for n, array in enumerate(INPUTS.values())}
    return tools.infer(artifact, used)


@pytest.mark.parametrize("name", CASES)
def test_operation(name, results):
    expected, found = CASES[name][1], results[f"out{list(CASES).index(name)}"]
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if expected.dtype != np.float32:
        np.testing.assert_array_equal(found, expected)
    else:
        # Functions are within a few units in the last place of their result, sums of that of their largest term.
        scale = np.maximum(np.abs(expected), 1 if "dot" in name or "reduce" in name else np.finfo(np.float32).tiny)
        assert (np.abs(found.astype(np.float64) - expected) <= 8 * np.spacing(scale)).all()
