#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random graphs through importer, compiler and interpreter, beside ONNX Runtime.

    random_graphs.py SEED [COUNT]      COUNT graphs (default: the one) from SEED on, several in a model; what differs is made smaller

Each operator draws its operands among the values there are and its attributes within what ONNX allows; a dimension may be symbolic. There
are two kinds of graphs, since each sees what the other is blind to. Exact ones have small integers, and operators that keep them such:
all three must agree bit for bit. Smooth ones have real numbers and no operator that jumps: the compiled code must be within the bound
that the interpreter computes for f32, and ONNX Runtime may be off by more only where its own functions are (its error is then printed).
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
for folder in (HERE.parents[1] / "python", HERE.parents[1] / "test/python"):
    sys.path.insert(0, str(folder))
from real import BUILD  # noqa: E402

OPSET = 21
SIZES = {"n": 2, "s": 3}  # of the symbols, at the call
KINDS = {np.float32: TensorProto.FLOAT, np.int64: TensorProto.INT64, np.int32: TensorProto.INT32, np.bool_: TensorProto.BOOL,
         np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}
ELEMENTS = 400  # a value has at most so many


@dataclass
class Value:
    name: str
    dtype: type
    shape: tuple  # of numbers and names of symbols

    @property
    def rank(self) -> int:
        return len(self.shape)

    def count(self) -> int:
        return int(np.prod([SIZES.get(d, d) for d in self.shape]))


@dataclass
class Graph:
    seed: int
    exact: bool
    nodes: list = field(default_factory=list)
    tensors: list = field(default_factory=list)
    inputs: list = field(default_factory=list)
    values: list = field(default_factory=list)
    feeds: dict = field(default_factory=dict)

    @property
    def outputs(self) -> list:
        """What no node uses."""
        used = {name for node in self.nodes for name in node.input}
        made = {name for node in self.nodes for name in node.output}
        return [v for v in self.values if v.name in made and v.name not in used]


class Maker:
    """Draws one graph. Every method named op_* adds a node or two, or gives up by returning nothing."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.graph = Graph(seed, exact=bool(self.random.integers(2)))
        self.prefix, self.count = f"g{seed}_", 0

    def make(self) -> Graph:
        for _ in range(self.random.integers(1, 4)):
            self.input()
        operators = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("op_")]
        for _ in range(self.random.integers(3, 9)):
            for _ in range(20):
                if self.choice(operators)() is not None:
                    break
        return self.graph

    # Drawing.

    def choice(self, items):
        return items[self.random.integers(len(items))]

    def maybe(self) -> bool:
        return bool(self.random.integers(2))

    def name(self) -> str:
        self.count += 1
        return f"{self.prefix}{self.count}"

    def value(self, dtype=np.float32, least=0, most=8, fixed=False) -> Value | None:
        """One that is there; later ones are likelier."""
        fit = [v for v in self.graph.values if v.dtype == dtype and least <= v.rank <= most
               and not (fixed and any(isinstance(d, str) for d in v.shape))]
        return fit[max(self.random.integers(len(fit)), self.random.integers(len(fit)))] if fit else None

    def array(self, dtype, shape) -> np.ndarray:
        if dtype == np.bool_:
            return self.random.integers(0, 2, shape).astype(bool)
        if dtype != np.float32:
            return self.random.integers(0 if dtype == np.uint8 else -4, 5, shape).astype(dtype)
        return (self.random.integers(-3, 4, shape) if self.graph.exact else self.random.uniform(-2, 2, shape)).astype(np.float32)

    def input(self) -> Value:
        dtype = np.float32 if self.random.integers(4) else self.choice([np.int64, np.int32, np.bool_] if self.graph.exact else [np.bool_])
        rank = self.random.integers(0, 5)
        shape = tuple(self.choice([1, 2, 3, 4, 5, "n", "s"]) for _ in range(rank))
        name = self.name()
        self.graph.inputs.append(helper.make_tensor_value_info(name, KINDS[dtype], shape))
        self.graph.feeds[name] = self.array(dtype, [SIZES.get(d, d) for d in shape])
        return self.keep(name, dtype, shape)

    def keep(self, name, dtype, shape) -> Value:
        self.graph.values.append(Value(name, dtype, tuple(shape)))
        return self.graph.values[-1]

    def constant(self, array, dtype=None) -> str:
        name = self.name()
        self.graph.tensors.append(numpy_helper.from_array(np.array(array, dtype or np.int64), name))
        return name

    def node(self, kind: str, inputs, dtype, shape, **attributes) -> Value | None:
        value = Value(self.name(), dtype, tuple(shape))
        if value.count() > ELEMENTS:
            return None
        names = [x.name if isinstance(x, Value) else x for x in inputs]
        self.graph.nodes.append(helper.make_node(kind, names, [value.name], name=value.name, **attributes))
        self.graph.values.append(value)
        return value

    @staticmethod
    def broadcast(*shapes):
        """The shape that all have together; nothing if symbols meet what they need not be."""
        result = []
        for dims in zip(*((1,) * (max(map(len, shapes)) - len(shape)) + tuple(shape) for shape in shapes)):
            others = {d for d in dims if d != 1}
            if len(others) > 1:
                return None
            result.append(others.pop() if others else 1)
        return result

    def axis(self, x: Value) -> int:
        axis = int(self.random.integers(x.rank))
        return axis - x.rank if self.maybe() else axis

    # Elementwise.

    def op_unary(self):
        x = self.value()
        kinds = ["Abs", "Neg", "Relu", "Identity"]
        kinds += ["Floor", "Ceil", "Round", "Sign"] if self.graph.exact else ["Tanh", "Sigmoid", "Softplus", "Erf", "Sin", "Cos", "Softsign", "Atan",
                                                                              "LeakyRelu", "Elu", "HardSwish", "Mish"]
        return x and self.node(self.choice(kinds), [x], np.float32, x.shape)

    def op_binary(self):
        x, y = self.value(), self.value()
        shape = x and self.broadcast(x.shape, y.shape)
        return shape is not None and x and self.node(self.choice(["Add", "Sub", "Mul", "Max", "Min"]), [x, y], np.float32, shape) or None

    def op_divide(self):
        x, y = self.value(), self.value()
        shape = x and self.broadcast(x.shape, y.shape)
        if not x or shape is None or self.graph.exact:
            return None
        below = self.node("Add", [self.node("Abs", [y], np.float32, y.shape), self.constant(1, np.float32)], np.float32, y.shape)
        return self.node("Div", [x, below], np.float32, shape)

    def op_power(self):
        x = self.value()
        return x and self.node("Pow", [x, self.constant(2, np.float32)], np.float32, x.shape)

    def op_integers(self):
        x, y = (self.value(np.int64), self.value(np.int64)) if self.maybe() else (self.value(np.int32), self.value(np.int32))
        shape = x and y and self.broadcast(x.shape, y.shape)
        return shape is not None and x and self.node(self.choice(["Add", "Sub", "Mul", "Max", "Min"]), [x, y], x.dtype, shape) or None

    def op_compare(self):
        if not self.graph.exact:
            return None
        dtype = self.choice([np.float32, np.int64, np.int32])
        x, y = self.value(dtype), self.value(dtype)
        shape = x and self.broadcast(x.shape, y.shape)
        return shape is not None and x and self.node(self.choice(["Less", "Greater", "Equal", "LessOrEqual"]), [x, y], np.bool_, shape) or None

    def op_logic(self):
        x, y = self.value(np.bool_), self.value(np.bool_)
        if not x:
            return None
        if self.maybe():
            return self.node("Not", [x], np.bool_, x.shape)
        shape = self.broadcast(x.shape, y.shape)
        return shape is not None and self.node(self.choice(["And", "Or", "Xor"]), [x, y], np.bool_, shape) or None

    def op_where(self):
        c, x, y = self.value(np.bool_), self.value(), self.value()
        shape = c and x and self.broadcast(c.shape, x.shape, y.shape)
        return shape is not None and c and x and self.node("Where", [c, x, y], np.float32, shape) or None

    def op_cast(self):
        source, target = self.choice([(np.bool_, np.float32), (np.int64, np.float32), (np.int32, np.int64), (np.int64, np.int32), (np.bool_, np.int64),
                                      (np.int32, np.float32), (np.float32, np.int64), (np.float32, np.int32)])
        x = self.value(source)
        if not x or (source == np.float32 and not self.graph.exact):
            return None
        return self.node("Cast", [x], target, x.shape, to=KINDS[target])

    def op_clip(self):
        x = self.value()
        return x and self.node("Clip", [x, self.constant(-2, np.float32), self.constant(self.choice([0, 1, 3]), np.float32)], np.float32, x.shape)

    # Moving.

    def any(self, **limits) -> Value | None:
        return self.value(self.choice([np.float32, np.float32, np.int64, np.int32, np.bool_]), **limits)

    def op_transpose(self):
        x = self.any(least=1)
        if not x:
            return None
        order = [int(i) for i in self.random.permutation(x.rank)]
        return self.node("Transpose", [x], x.dtype, [x.shape[i] for i in order], perm=order)

    def op_flatten(self):
        x = self.any(least=1, fixed=True)
        if not x:
            return None
        axis = int(self.random.integers(x.rank + 1))
        return self.node("Flatten", [x], x.dtype, [int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))], axis=axis)

    def op_reshape(self):
        x = self.any(least=1, fixed=True)
        if not x or 0 in x.shape:
            return None
        left, dims = x.count(), []
        while left > 1 and len(dims) < 4:
            part = self.choice([d for d in range(1, left + 1) if left % d == 0])
            dims.append(part)
            left //= part
        dims.append(left)
        written = list(dims)
        if self.maybe():
            written[self.random.integers(len(written))] = -1
        return self.node("Reshape", [x, self.constant(written)], x.dtype, dims)

    def op_unsqueeze(self):
        x = self.any(most=4)
        if not x:
            return None
        axis = int(self.random.integers(x.rank + 1))
        return self.node("Unsqueeze", [x, self.constant([axis])], x.dtype, [*x.shape[:axis], 1, *x.shape[axis:]])

    def op_squeeze(self):
        x = self.any(least=1)
        axes = [i for i, d in enumerate(x.shape) if d == 1] if x else []
        if not axes:
            return None
        axis = self.choice(axes)
        return self.node("Squeeze", [x, self.constant([axis])], x.dtype, [*x.shape[:axis], *x.shape[axis + 1:]])

    def op_slice(self):
        x = self.any(least=1)
        axes = [i for i, d in enumerate(x.shape) if not isinstance(d, str) and d > 1] if x else []
        if not axes:
            return None
        axis = self.choice(axes)
        size, step = x.shape[axis], int(self.choice([1, 1, 2, -1]))
        start, end = sorted(int(i) for i in self.random.integers(0, size + 1, 2))
        if start == end:
            return None
        ends = [end] if step > 0 else [start - 1 if start else -size - 1]
        starts = [start] if step > 0 else [end - 1]
        left = (end - start + abs(step) - 1) // abs(step)
        inputs = [x, self.constant(starts), self.constant(ends), self.constant([axis]), self.constant([step])]
        return self.node("Slice", inputs, x.dtype, [*x.shape[:axis], left, *x.shape[axis + 1:]])

    def op_concat(self):
        x = self.value(least=1)
        if not x:
            return None
        axis = int(self.random.integers(x.rank))
        if isinstance(x.shape[axis], str):
            return None
        fit = [v for v in self.graph.values if v.dtype == x.dtype and v.rank == x.rank and not isinstance(v.shape[axis], str)
               and all(d == e for i, (d, e) in enumerate(zip(v.shape, x.shape)) if i != axis)]
        parts = [self.choice(fit) for _ in range(self.random.integers(2, 4))]
        return self.node("Concat", parts, x.dtype, [*x.shape[:axis], sum(p.shape[axis] for p in parts), *x.shape[axis + 1:]], axis=axis)

    def op_expand(self):
        x = self.any()
        if not x or any(isinstance(d, str) for d in x.shape):
            return None
        shape = [int(self.choice([1, 2])) for _ in range(self.random.integers(0, 2))] + [d if d > 1 else int(self.choice([1, 3])) for d in x.shape]
        return self.node("Expand", [x, self.constant(np.array(shape, np.int64))], x.dtype, shape)

    def op_tile(self):
        x = self.value(least=1, fixed=True)
        if not x:
            return None
        times = [int(self.choice([1, 1, 2, 3])) for _ in x.shape]
        return self.node("Tile", [x, self.constant(times)], x.dtype, [d * t for d, t in zip(x.shape, times)])

    def op_pad(self):
        x = self.value(least=1)
        if not x:
            return None
        before, after = ([0 if isinstance(d, str) else int(self.random.integers(0, 3)) for d in x.shape] for _ in range(2))
        modes = ["constant"] + ["edge"] * all(d not in (0,) for d in x.shape)
        shape = [d if isinstance(d, str) else d + p + q for d, p, q in zip(x.shape, before, after)]
        return self.node("Pad", [x, self.constant(before + after)], np.float32, shape, mode=self.choice(modes))

    def op_gather(self):
        x = self.any(least=1)
        if not x:
            return None
        axis = int(self.random.integers(x.rank))
        if isinstance(x.shape[axis], str):
            return None
        dims = [int(self.choice([1, 2, 3])) for _ in range(self.random.integers(0, 3))]
        indices = self.constant(self.random.integers(-x.shape[axis], x.shape[axis], dims))
        return self.node("Gather", [x, indices], x.dtype, [*x.shape[:axis], *dims, *x.shape[axis + 1:]], axis=axis)

    # Sums.

    def op_reduce(self):
        x = self.value(least=1)
        if not x:
            return None
        kind = self.choice(["ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1"] + ([] if self.graph.exact else ["ReduceMean", "ReduceL2"]))
        axes = sorted(int(i) for i in self.random.choice(x.rank, self.random.integers(1, x.rank + 1), replace=False))
        keep = self.maybe()
        shape = [1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes]
        return self.node(kind, [x, self.constant(axes)], np.float32, shape, keepdims=int(keep))

    def op_argmax(self):
        x = self.value(least=1)
        if not x or not self.graph.exact:
            return None
        axis = int(self.random.integers(x.rank))
        return self.node(self.choice(["ArgMax", "ArgMin"]), [x], np.int64, [1 if i == axis else d for i, d in enumerate(x.shape)], axis=axis)

    def op_softmax(self):
        x = self.value(least=1)
        return None if not x or self.graph.exact else self.node(self.choice(["Softmax", "LogSoftmax"]), [x], np.float32, x.shape, axis=self.axis(x))

    def op_cumsum(self):
        x = self.value(least=1)
        if not x:
            return None
        axis = int(self.random.integers(x.rank))
        return self.node("CumSum", [x, self.constant(axis)], np.float32, x.shape, exclusive=int(self.maybe()), reverse=int(self.maybe()))

    def op_norm(self):
        x = self.value(least=1)
        if not x or self.graph.exact or isinstance(x.shape[-1], str):
            return None
        width = x.shape[-1]
        return self.node("LayerNormalization", [x, self.constant(self.array(np.float32, width), np.float32),
                                                self.constant(self.array(np.float32, width), np.float32)], np.float32, x.shape, axis=-1, epsilon=0.1)

    def op_matmul(self):
        x = self.value(least=1)
        if not x or isinstance(x.shape[-1], str):
            return None
        n = int(self.random.integers(1, 18))
        w = self.constant(self.array(np.float32, (x.shape[-1], n)), np.float32)
        return self.node("MatMul", [x, w], np.float32, [*x.shape[:-1], n])

    def op_product(self):
        x = self.value(least=2, most=4)
        if not x:
            return None
        order = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
        y = self.node("Transpose", [x], np.float32, [x.shape[i] for i in order], perm=order)
        return y and self.node("MatMul", [x, y], np.float32, [*x.shape[:-1], x.shape[-2]])

    def op_gemm(self):
        x = self.value(least=2, most=2)
        if not x or isinstance(x.shape[1], str):
            return None
        n, trans = int(self.random.integers(1, 9)), self.maybe()
        w = self.constant(self.array(np.float32, (n, x.shape[1]) if trans else (x.shape[1], n)), np.float32)
        return self.node("Gemm", [x, w, self.constant(self.array(np.float32, n), np.float32)], np.float32, [x.shape[0], n], transB=int(trans),
                         alpha=float(self.choice([1, 2, 0.5])), beta=float(self.choice([1, 0.5])))

    def windows(self, x, kernel, most_stride=2):
        """Strides, pads and dilations that leave something, and the size along each dimension."""
        strides, pads, dilations, sizes = [], [], [], []
        for size, k in zip(x.shape[2:], kernel):
            stride, dilation = int(self.random.integers(1, most_stride + 1)), int(self.random.integers(1, 3))
            pad = [int(self.random.integers(0, k)) for _ in range(2)]
            room = size + sum(pad) - (dilation * (k - 1) + 1)
            if room < 0:
                return None
            strides.append(stride), pads.append(pad), dilations.append(dilation), sizes.append(room // stride + 1)
        return {"strides": strides, "pads": [p[0] for p in pads] + [p[1] for p in pads], "dilations": dilations}, sizes

    def op_conv(self):
        x = self.value(least=3, most=4)
        if not x or any(isinstance(d, str) for d in x.shape[1:]):
            return None
        groups = self.choice([g for g in range(1, x.shape[1] + 1) if x.shape[1] % g == 0])
        filters, kernel = groups * int(self.random.integers(1, 4)), [int(self.random.integers(1, 4)) for _ in x.shape[2:]]
        how = self.windows(x, kernel)
        if how is None:
            return None
        w = self.constant(self.array(np.float32, (filters, x.shape[1] // groups, *kernel)), np.float32)
        inputs = [x, w] + ([self.constant(self.array(np.float32, filters), np.float32)] if self.maybe() else [])
        return self.node("Conv", inputs, np.float32, [x.shape[0], filters, *how[1]], group=groups, kernel_shape=kernel, **how[0])

    def op_pool(self):
        x = self.value(least=3, most=4)
        if not x or any(isinstance(d, str) for d in x.shape[1:]):
            return None
        kernel = [int(self.random.integers(1, 4)) for _ in x.shape[2:]]
        how = self.windows(x, kernel)
        if how is None:
            return None
        kind = "MaxPool" if self.graph.exact or self.maybe() else "AveragePool"
        # All of a window may lie in the padding, of which there is no maximum and no mean.
        if any(p and d > 1 for p, d in zip(how[0]["pads"], how[0]["dilations"] * 2)):
            return None
        return self.node(kind, [x], np.float32, [*x.shape[:2], *how[1]], kernel_shape=kernel, **how[0])

    # Codes.

    def op_quantize(self):
        x = self.value()
        if not x or not self.graph.exact:
            return None
        dtype = self.choice([np.uint8, np.int8])
        scale, zero = self.constant(self.choice([1, 2, 0.5]), np.float32), self.constant(self.choice([0, 3, 100]), dtype)
        codes = self.node("QuantizeLinear", [x, scale, zero], dtype, x.shape)
        return codes and self.node("DequantizeLinear", [codes, scale, zero], np.float32, x.shape)

    def op_codes(self):
        """A product of codes, as ONNX Runtime's operators on integers."""
        x = self.value(least=2)
        if not x or not self.graph.exact or isinstance(x.shape[-1], str):
            return None
        dtype, n = self.choice([np.uint8, np.int8]), int(self.random.integers(1, 18))
        one, zero = self.constant(1, np.float32), self.constant(self.choice([0, 7, 100]), dtype)
        codes = self.node("QuantizeLinear", [x, one, zero], dtype, x.shape)
        if codes is None:
            return None
        w = self.constant(self.random.integers(-128, 128, (x.shape[-1], n)), np.int8)
        return self.node("MatMulInteger", [codes, w, zero], np.int32, [*x.shape[:-1], n])


# ------------------------------------------------------------------------------------------------ checking


def model_of(graphs) -> onnx.ModelProto:
    nodes, tensors, inputs, outputs = [], [], [], []
    for graph in graphs:
        nodes += graph.nodes
        tensors += graph.tensors
        used = {name for node in graph.nodes for name in node.input} | {v.name for v in graph.outputs}
        inputs += [value for value in graph.inputs if value.name in used]
        outputs += [helper.make_tensor_value_info(v.name, KINDS[v.dtype], v.shape) for v in graph.outputs]
    return helper.make_model(helper.make_graph(nodes, "random", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def run(tool: str, *arguments, timeout=120) -> str | None:
    """What went wrong, if anything did."""
    try:
        done = subprocess.run([str(BUILD / "bin" / tool), *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"{tool} runs longer than {timeout} s"
    return None if done.returncode == 0 else f"{tool} ends with {done.returncode}: {(done.stderr + done.stdout)[-600:]}"


def problems(graphs, folder: Path) -> dict:
    """What is wrong, by the seed of the graph; seed -1: with all of them."""
    import onnxruntime

    model, feeds = model_of(graphs), {name: array for graph in graphs for name, array in graph.feeds.items()}
    feeds = {value.name: feeds[value.name] for value in model.graph.input}
    if not model.graph.output:
        return {}
    path, given = folder / "model.onnx", folder / "in.npz"
    onnx.save(model, path)
    np.savez(given, **feeds)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # it leaves out pairs of codes that round
    try:
        session = onnxruntime.InferenceSession(str(path), options)
        theirs = dict(zip((o.name for o in session.get_outputs()), session.run(None, feeds)))
    except Exception as error:  # a graph that it does not take says nothing of us
        return {} if len(graphs) == 1 else {-1: f"ONNX Runtime: {error}"}
    wrong = (run("whit-compile", path, "-o", folder / "model.so", "--quiet", "--activations=f32") or
             run("whit-run", folder / "model.so", "--inputs", given, "--outputs", folder / "ours.npz", "--trust") or
             run("whit-check", path, "--inputs", given, "--outputs", folder / "exact.npz", "--bounds"))
    if wrong:
        return {graphs[0].seed if len(graphs) == 1 else -1: wrong}
    found = {}
    with np.load(folder / "ours.npz") as ours, np.load(folder / "exact.npz") as exact:
        for graph in graphs:
            for value in graph.outputs:
                if why := difference(ours[value.name], exact[value.name], exact, theirs[value.name], graph.exact, value.name):
                    found[graph.seed] = f"{value.name}: {why}"
    return found


def difference(ours, interpreted, bounds, theirs, is_exact: bool, name: str) -> str | None:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{ours.dtype}{list(ours.shape)} instead of {theirs.dtype}{list(theirs.shape)}"
    if is_exact or ours.dtype.kind != "f":
        # Beyond 2^24 f32 rounds, and sums depend on their order.
        small = np.abs(interpreted.astype(np.float64)) < 2**20
        for what, other in (("the compiled code", ours), ("the interpreter", interpreted)):
            if not np.array_equal(other[small].astype(np.float64), theirs[small].astype(np.float64)):
                return f"{what} gives {other[small].ravel()[:4]}, ONNX Runtime {theirs[small].ravel()[:4]}"
        return None
    allowed = bounds[f"{name}.bound"] if f"{name}.bound" in bounds else np.zeros(ours.shape)
    mine, other = (np.abs(found.astype(np.float64) - interpreted) for found in (ours, theirs))
    if not (np.isfinite(interpreted) | (ours == interpreted)).all():
        return "the interpreter finds what is not finite"
    if (mine > allowed).any():
        at = int((mine - allowed).argmax())
        return f"off by {mine.ravel()[at]:.3g}, {allowed.ravel()[at]:.3g} are allowed, ONNX Runtime is off by {other.ravel()[at]:.3g}"
    # Its exponentials and error functions are approximations: 2^-18 of the largest value is far from a wrong one.
    if (other > allowed + 2**-18 * max(1.0, float(np.abs(interpreted).max(initial=0)))).any():
        return f"ONNX Runtime is off by {other.max():.3g} of {np.abs(interpreted).max():.3g}"
    return None


def smaller(graph: Graph, folder: Path) -> Graph:
    """Nodes are taken away from the end, then those that nothing needs, as long as something stays wrong."""
    shrunk = True
    while shrunk:
        shrunk = False
        for drop in reversed(range(len(graph.nodes))):
            gone = {graph.nodes[drop].output[0]}
            kept = []
            for i, node in enumerate(graph.nodes):
                if i == drop or gone & set(node.input):
                    gone.update(node.output)
                else:
                    kept.append(node)
            values = [v for v in graph.values if v.name not in gone]
            less = Graph(graph.seed, graph.exact, kept, graph.tensors, graph.inputs, values, graph.feeds)
            if kept and problems([less], folder):
                graph, shrunk = less, True
                break
    return graph


def check(first: int, count: int, together: int = 12) -> list[str]:
    """Graphs of seeds first, first + 1, ...; messages about those that are wrong."""
    failed = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for start in range(first, first + count, together):
            graphs = [Maker(seed).make() for seed in range(start, min(start + together, first + count))]
            found = problems(graphs, folder)
            if -1 in found:
                alone = {seed: why for graph in graphs for seed, why in problems([graph], folder).items()}
                found = alone or ({} if found[-1].startswith("ONNX Runtime") else found)
            for seed, why in found.items():
                text = f"seed {seed}: {why}"
                if seed >= 0:
                    less = smaller(next(g for g in graphs if g.seed == seed), folder)
                    text += "\n" + "\n".join(f"  {n.op_type}({', '.join(n.input)}) -> {n.output[0]}" for n in less.nodes)
                failed.append(text)
    return failed


if __name__ == "__main__":
    messages = check(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print("\n".join(messages) or "all agree")
    sys.exit(bool(messages))
