# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small files that ask for much: sizes that multiply, bodies that repeat, functions that call one another, nodes without end. Each is refused
within five seconds and half a gigabyte, with its name."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

F32, I64 = TensorProto.FLOAT, TensorProto.INT64
SECONDS, MEGABYTES = 5, 512


def numbers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def model(nodes, tensors=(), functions=(), shape=(4,), opset=17):
    graph = helper.make_graph(nodes, "hostile", [helper.make_tensor_value_info("x", F32, shape)], [helper.make_tensor_value_info("y", F32, None)], tensors)
    domains = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("local", 1)] if functions else [])
    return helper.make_model(graph, opset_imports=domains, functions=functions, ir_version=9)


def chain(kind, count, inputs, last="y", **attributes):
    """count nodes, each of the result of the one before."""
    names = ["x", *(f"v{i}" for i in range(1, count)), last]
    return [helper.make_node(kind, [names[i] if name is None else name for name in inputs], [names[i + 1]], name=f"culprit{i}", **attributes)
            for i in range(count)]


def function(name, *calls, domain="local"):
    nodes = [helper.make_node(call, ["a" if i == 0 else f"t{i - 1}"], [f"t{i}" if i + 1 < len(calls) else "b"], domain="local" if call != "Relu" else "",
                              name=f"{name}_{i}") for i, call in enumerate(calls)]
    return helper.make_function(domain, name, ["a"], ["b"], nodes, [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)])


def body_of(nodes, name):
    """A body of Loop: what `nodes` make of the value `s` is `s_out`."""
    info = helper.make_tensor_value_info
    return helper.make_graph([helper.make_node("Identity", ["c"], ["c_out"]), *nodes], name,
                             [info("i", I64, []), info("c", TensorProto.BOOL, []), info("s", F32, None)],
                             [info("c_out", TensorProto.BOOL, []), info("s_out", F32, None)])


def loops(depth, trips):
    """Loops inside of loops, each of `trips` steps."""
    nodes = [helper.make_node("Relu", ["s"], ["s_out"], name="inner")]
    for level in range(depth):
        body = body_of(nodes, f"body{level}")
        begin, end = ("s", "s_out") if level + 1 < depth else ("x", "y")
        nodes = [helper.make_node("Loop", ["trips", "", begin], [end], name=f"culprit{level}", body=rename(body, level))]
    return model(nodes, [numbers("trips", trips)])


def rename(graph, level):
    """Names of their own for the values of each level; `trips` is the model's."""
    for node in graph.node:
        for values in (node.input, node.output):
            for i, value in enumerate(values):
                if value and value != "trips":
                    values[i] = f"{value}_{level}"
    for values in (graph.input, graph.output):
        for value in values:
            value.name = f"{value.name}_{level}"
    return graph


def branches(depth):
    """If inside of If, both branches of each: 2^depth of them."""
    names = iter(range(1 << 30))

    def branch(left):
        if left == 0:
            return [helper.make_node("Relu", ["x"], [out := f"r{next(names)}"])], out
        inner = []
        for _ in range(2):
            nodes, out = branch(left - 1)
            inner.append(helper.make_graph(nodes, f"b{next(names)}", [], [helper.make_tensor_value_info(out, F32, None)]))
        out = f"r{next(names)}"
        return [helper.make_node("If", ["c"], [out], name=f"culprit{left}", then_branch=inner[0], else_branch=inner[1])], out

    nodes, out = branch(depth)
    made = model([*nodes, helper.make_node("Identity", [out], ["y"])])
    made.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, [1]))
    return made


def external(location, **more):
    tensor = TensorProto(name="culprit", data_type=F32, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return model([helper.make_node("Add", ["x", "culprit"], ["y"])], [tensor])


HUGE = 1 << 40
MODELS = {
    "expand": lambda: model(chain("Expand", 1, [None, "shape"]), [numbers("shape", HUGE, 4)]),
    "expand_chain": lambda: model([n for i in range(12) for n in (
        helper.make_node("Unsqueeze", ["x" if i == 0 else f"e{i}", "zero"], [f"u{i}"], name=f"culprit_u{i}"),
        helper.make_node("Tile", [f"u{i}", "wide"], [f"t{i}"], name=f"culprit{i}"),
        helper.make_node("Reshape", [f"t{i}", "flat"], [f"e{i + 1}" if i < 11 else "y"], name=f"culprit_r{i}"))],
        [numbers("zero", 0), numbers("wide", 1000, 1), numbers("flat", -1)]),
    "tile": lambda: model(chain("Tile", 1, [None, "times"]), [numbers("times", HUGE)]),
    "tile_wraps": lambda: model(chain("Tile", 1, [None, "times"]), [numbers("times", (1 << 62) + 1)]),
    "concat_doubles": lambda: model(chain("Concat", 60, [None, None], axis=0)),
    "constant_of_shape": lambda: model([helper.make_node("ConstantOfShape", ["shape"], ["z"], name="culprit"),
                                        helper.make_node("Add", ["x", "z"], ["y"], name="culprit_add")], [numbers("shape", HUGE, 4)]),
    "range": lambda: model([helper.make_node("Range", ["zero", "many", "one"], ["r"], name="culprit"),
                            helper.make_node("Cast", ["r"], ["f"], to=F32, name="culprit_cast"),
                            helper.make_node("ReduceSum", ["f"], ["s"], name="culprit_sum", keepdims=0), helper.make_node("Add", ["x", "s"], ["y"])],
                           [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in (("zero", 0), ("many", 1 << 50), ("one", 1))]),
    "pad": lambda: model(chain("Pad", 1, [None, "pads"]), [numbers("pads", HUGE, HUGE)]),
    "pad_wraps": lambda: model(chain("Pad", 1, [None, "pads"]), [numbers("pads", (1 << 63) - 1, (1 << 63) - 1)]),
    "one_hot": lambda: model([helper.make_node("Cast", ["x"], ["i"], to=I64), helper.make_node("OneHot", ["i", "depth", "both"], ["o"], name="culprit"),
                              helper.make_node("Identity", ["o"], ["y"])],
                             [numbers("depth", HUGE), numpy_helper.from_array(np.array([0, 1], np.float32), "both")]),
    "resize": lambda: model([helper.make_node("Resize", ["x", "", "scales"], ["y"], name="culprit")],
                            [numpy_helper.from_array(np.array([1, 1, 1e9, 1e9], np.float32), "scales")], shape=(1, 1, 4, 4)),
    "conv_transpose": lambda: model([helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="culprit", strides=[1 << 30, 1 << 30])],
                                    [numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "w")], shape=(1, 1, 4, 4)),
    "rank": lambda: model(chain("Unsqueeze", 200, [None, "zero"]), [numbers("zero", 0)]),
    "reshape_wraps": lambda: model(chain("Reshape", 1, [None, "shape"]), [numbers("shape", 1 << 32, 1 << 32)]),
    "loop": lambda: loops(1, 1 << 40),
    "loops": lambda: loops(4, 1000),
    "branches": lambda: branches(11),
    "function_calls_itself": lambda: model([helper.make_node("F", ["x"], ["y"], domain="local", name="culprit")], functions=[function("F", "F")]),
    "functions_call_one_another": lambda: model([helper.make_node("F", ["x"], ["y"], domain="local", name="culprit")],
                                                functions=[function("F", "G"), function("G", "F")]),
    "functions_multiply": lambda: model([helper.make_node("F0", ["x"], ["y"], domain="local", name="culprit")],
                                        functions=[function(f"F{i}", *[f"F{i + 1}"] * 10) for i in range(12)] + [function("F12", "Relu")]),
    "external_dot": lambda: external("."),
    "external_empty": lambda: external(""),
    "external_line": lambda: external("a\nb"),
    "external_nul": lambda: external("a\0b"),
    "external_beyond": lambda: external("data.bin", offset=1 << 60, length=16),
    "external_wraps": lambda: external("data.bin", offset=(1 << 64) - 8, length=16),
    "external_twice": lambda: external("data.bin", offset=0, length=(1 << 64) + 16),
    "external_model": lambda: external("external_model.onnx", offset=0, length=1 << 40),
}


@pytest.mark.parametrize("name", MODELS)
def test_is_refused_quickly_and_by_name(tools, tmp_path, name):
    path, out = tmp_path / f"{name}.onnx", tmp_path / "m.so"
    path.write_bytes(MODELS[name]().SerializeToString())
    (tmp_path / "data.bin").write_bytes(bytes(64))
    done = tools.call("whit-compile", path, "-o", out, timeout=60)
    text = done.out + done.err
    assert 1 <= done.code <= 5, f"exit {done.code}\n{text[-2000:]}"
    assert done.seconds < SECONDS and done.peak_mb < MEGABYTES, (done.seconds, done.peak_mb)
    assert "error[E" in text and ("culprit" in text or "local" in text), text[:2000]
    assert not out.exists()
