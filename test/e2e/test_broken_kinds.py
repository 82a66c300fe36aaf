# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kinds of broken and hostile model files, one small file each. For every one: no signal, not accepted, within 5 seconds, and the message
names the node, tensor or byte. The list follows the corpus on which other runtimes crash, hang or accept (docs: SECURITY.md)."""
import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_broken_input import check_message

SECONDS = 5  # the promise of SECURITY.md


def graph_of(nodes, initializers=(), inputs=("x",), outputs=("y",), shape=(2, 4)):
    def info(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape or ((2, 4) if name == "x" else None))

    return helper.make_graph(list(nodes), "g", [info(n) for n in inputs], [info(n) for n in outputs], list(initializers))


def model_of(*nodes, initializers=(), opset=21, **more):
    return helper.make_model(graph_of(nodes, initializers, **more), opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"/{op}", **attributes)


def weight(name="w", shape=(4, 4)):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def product(tensor):
    return model_of(node("MatMul", ["x", tensor.name], ["y"]), initializers=[tensor], shape=None)


def changed(tensor, **fields):
    for name, value in fields.items():
        if isinstance(value, list):
            del getattr(tensor, name)[:]
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


def external(**entries):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return product(tensor)


def both_data_fields():
    tensor = weight()
    tensor.float_data.extend([2.0] * 16)
    return product(tensor)


def nested(depth):
    inner = graph_of([node("Identity", ["x"], ["y"])], inputs=())
    for _ in range(depth):
        condition = numpy_helper.from_array(np.array(True), "c")
        inner = graph_of([node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], [condition], inputs=())
    inner.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 4)))
    return helper.make_model(inner, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def function_chain(length):
    """Functions that call each other twice: 2^length nodes after inlining."""
    model = model_of(node("Relu", ["x"], ["y"]))
    model.opset_import.append(helper.make_opsetid("f", 1))
    for i in range(length):
        calls = [helper.make_node(f"F{i + 1}" if i + 1 < length else "Neg", ["a"], [out], domain="f" if i + 1 < length else "") for out in "bc"]
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["b"], calls, [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]))
    model.graph.node[0].CopyFrom(helper.make_node("F0", ["x"], ["y"], name="/bomb", domain="f"))
    return model


def twice_named():
    model = product(weight())
    model.graph.initializer.append(weight())
    return model


RELU = node("Relu", ["x"], ["y"])
# name: (builder, exit codes allowed, text that the message must have)
KINDS = {
    "two data fields": (both_data_fields, (1,), "w"),
    "raw data too short": (lambda: product(changed(weight(), raw_data=b"1234")), (1,), "w"),
    "raw data too long": (lambda: product(changed(weight(), raw_data=bytes(65))), (1,), "w"),
    "negative size": (lambda: product(changed(weight(), dims=[-4, -4])), (1,), "w"),
    "sizes whose product wraps to 0": (lambda: product(changed(weight(), dims=[1 << 32, 1 << 32], raw_data=b"")), (1, 5), "w"),
    "rank 100,000": (lambda: product(changed(weight(), dims=[1] * 100_000, raw_data=bytes(4))), (1, 3, 5), "w"),
    "unknown element type": (lambda: product(changed(weight(), data_type=200)), (1, 3), "w"),
    "string weight": (lambda: product(helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])), (1, 3), "w"),
    "initializer without a name": (lambda: product(changed(weight(), name="")), (1,), "name"),
    "two initializers of one name": (twice_named, (1,), "w"),
    "external data outside of the folder": (lambda: external(location="../../etc/passwd"), (1,), "w"),
    "external data of absolute name": (lambda: external(location="/etc/passwd"), (1,), "w"),
    "external data with a zero byte": (lambda: external(location="a\0b"), (1,), "w"),
    "external data without a location": (lambda: external(offset="0"), (1,), "w"),
    "external offset and length that wrap": (lambda: external(location="m.onnx", offset=str(2**64 - 8), length="64"), (1,), "w"),
    "address marker of another runtime": (lambda: external(location="*/_ORT_MEM_ADDR_/*", offset="140000000000", length="64"), (1, 4), "w"),
    "node with an input from nowhere": (lambda: model_of(node("Relu", ["nowhere"], ["y"])), (1,), "nowhere"),
    "nodes in a circle": (lambda: model_of(node("Relu", ["z"], ["y"]), node("Neg", ["y"], ["z"])), (1,), "/Relu"),
    "output of two nodes": (lambda: model_of(RELU, node("Neg", ["x"], ["y"])), (1,), "/Neg"),
    "output that nobody computes": (lambda: model_of(RELU, outputs=("y", "q")), (1,), "q"),
    "output of another rank": (lambda: model_of(RELU, node("Flatten", ["x"], ["q"]), node("Squeeze", ["q"], ["y"]), shape=(2, 4, 1)), (1, 3), "y"),
    "no outputs": (lambda: model_of(RELU, outputs=()), (1,), "outputs"),
    "operator set 999": (lambda: model_of(RELU, opset=999), (3,), "999"),
    "no operator set": (lambda: changed(model_of(RELU), opset_import=[]), (1,), "operator set"),
    "unknown operator": (lambda: model_of(node("NoSuchThing", ["x"], ["y"])), (3,), "/NoSuchThing"),
    "unknown attribute": (lambda: model_of(node("Relu", ["x"], ["y"], surprise=1)), (1, 3), "/Relu"),
    "attribute of another type": (lambda: model_of(node("Transpose", ["x"], ["y"], perm=1.5)), (1,), "/Transpose"),
    "permutation that is none": (lambda: model_of(node("Transpose", ["x"], ["y"], perm=[1, 1])), (1,), "/Transpose"),
    "axis outside of the rank": (lambda: model_of(node("Softmax", ["x"], ["y"], axis=9)), (1, 3), "/Softmax"),
    "too many inputs": (lambda: model_of(node("Relu", ["x", "x", "x"], ["y"])), (1, 3), "/Relu"),
    "too few inputs": (lambda: model_of(node("MatMul", ["x"], ["y"])), (1,), "/MatMul"),
    "shapes that do not fit": (lambda: model_of(node("MatMul", ["x", "w"], ["y"]), initializers=[weight(shape=(5, 4))]), (1,), "/MatMul"),
    "slice with step 0": (lambda: model_of(node("Slice", ["x", "a", "b", "c", "d"], ["y"]), initializers=[
        numpy_helper.from_array(np.array([v]), n) for n, v in zip("abcd", (0, 2, 0, 0))]), (1, 3), "/Slice"),
    "reshape to other elements": (lambda: model_of(node("Reshape", ["x", "s"], ["y"]), initializers=[
        numpy_helper.from_array(np.array([3, 3]), "s")]), (1,), "/Reshape"),
    "reshape beyond 2^62 elements": (lambda: model_of(node("Expand", ["x", "s"], ["y"]), initializers=[
        numpy_helper.from_array(np.array([1 << 40, 1 << 24, 2, 4]), "s")]), (1, 3, 5), "/Expand"),
    "200 nested branches": (lambda: nested(12).SerializeToString(), (1, 3, 5), ""),
    "functions of 2^40 nodes": (lambda: function_chain(40), (1, 3, 5), "/bomb"),
    "name of a megabyte": (lambda: model_of(helper.make_node("Relu", ["x"], ["y"], name="n" * (1 << 20))), (1,), "node"),
    "length prefix beyond the file": (lambda: b"\x3a" + b"\xff" * 8 + b"\x7f" + b"rest", (1,), "m.onnx"),
    "groups nested 100,000 deep": (lambda: b"\x3a" + b"\xb0\x9c\x18" + b"\x0b" * 400_000, (1,), "m.onnx"),
    "zeros": (lambda: bytes(4096), (1,), "m.onnx"),
    "a safetensors file": (lambda: struct.pack("<Q", 2) + b"{}", (1,), "m.onnx"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kind(tools, tmp_path, kind):
    build, codes, part = KINDS[kind]
    model, out = tmp_path / "m.onnx", tmp_path / "out"
    out.mkdir()
    data = build()
    model.write_bytes(data if isinstance(data, bytes) else data.SerializeToString())
    done = tools.call("whit-compile", model, "-o", out / "m.so", timeout=60)
    assert done.code in codes, f"exit {done.code}, allowed {codes}\n{done.err[-2000:]}"
    check_message(done, done.code, part)
    assert done.seconds < SECONDS
    assert list(out.iterdir()) == []


def test_files_that_are_no_files(tools, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "endless.onnx").symlink_to("/dev/zero")
    for path in (tmp_path / "folder.onnx", tmp_path / "endless.onnx"):
        done = tools.call("whit-compile", path, "-o", tmp_path / "m.so", timeout=20)
        assert done.code in (1, 2, 4) and done.seconds < SECONDS, (path, done.code, done.err)
