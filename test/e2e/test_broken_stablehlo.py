# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kinds of broken StableHLO files and of broken parameters for them: no signal, none accepted, within 5 seconds, each naming the line or
the tensor."""
import json
import struct

import pytest
from test_broken_input import check_message

SECONDS = 5


def program(body: str, result: str = "tensor<4xf32>", inputs: str = "%arg0: tensor<4xf32>") -> bytes:
    return f"func.func @main({inputs}) -> {result} {{\n  {body}\n}}\n".encode()


def calling() -> bytes:
    """A reducer whose functions call the next of them 10 times each, 15 deep."""
    functions = []
    for k in range(15):
        inner = f"func.call @f{k + 1}(%x) : (tensor<f32>) -> tensor<f32>" if k < 14 else "stablehlo.negate %x : tensor<f32>"
        calls = "\n  ".join(f"%{i} = {inner}" for i in range(10))
        functions.append(f"func.func private @f{k}(%x: tensor<f32>) -> tensor<f32> {{\n  {calls}\n  return %9 : tensor<f32>\n}}\n")
    main = program("""%z = stablehlo.constant dense<0.0> : tensor<f32>
  %0 = stablehlo.reduce(%arg0 init: %z) across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
   reducer(%a: tensor<f32>, %b: tensor<f32>) {
    %1 = func.call @f0(%a) : (tensor<f32>) -> tensor<f32>
    stablehlo.return %1 : tensor<f32>
  }
  return %0 : tensor<f32>""", "tensor<f32>")
    return "".join(functions).encode() + main


TANH = "%0 = stablehlo.tanh %arg0 : tensor<4xf32>\n  return %0 : tensor<4xf32>"
# name: (file, exit codes allowed, what the message names)
PROGRAMS = {
    "cut in the middle": (program(TANH)[:70], (1,), ":2:"),
    "value from nowhere": (program("%0 = stablehlo.tanh %nowhere : tensor<4xf32>\n  return %0 : tensor<4xf32>"), (1,), ":2:23"),
    "value defined twice": (program("%0 = stablehlo.tanh %arg0 : tensor<4xf32>\n  " + TANH), (1,), ":3:"),
    "shapes that do not fit": (program("%0 = stablehlo.add %arg0, %arg0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<5xf32>\n  return %arg0 : tensor<4xf32>"), (1,), ":2:"),
    "permutation that is none": (program("%0 = stablehlo.transpose %arg0, dims = [7] : (tensor<4xf32>) -> tensor<4xf32>\n  return %0 : tensor<4xf32>"), (1,), ":2:"),
    "reshape to other elements": (program("%0 = stablehlo.reshape %arg0 : (tensor<4xf32>) -> tensor<5xf32>\n  return %arg0 : tensor<4xf32>"), (1,), ":2:"),
    "slice beyond its operand": (program("%0 = stablehlo.slice %arg0 [0:9] : (tensor<4xf32>) -> tensor<9xf32>\n  return %arg0 : tensor<4xf32>"), (1,), ":2:"),
    "constant with too few bytes": (program('%0 = stablehlo.constant dense<"0x00"> : tensor<4xf32>\n  return %0 : tensor<4xf32>'), (1,), ":2:"),
    "operation of nobody": (program('%0 = "stablehlo.nothing"(%arg0) : (tensor<4xf32>) -> tensor<4xf32>\n  return %0 : tensor<4xf32>'), (1, 3), "stablehlo.nothing"),
    "call of nobody": (program("%0 = func.call @nobody(%arg0) : (tensor<4xf32>) -> tensor<4xf32>\n  %1 = stablehlo.tanh %0 : tensor<4xf32>\n  return %1 : tensor<4xf32>"), (1,), "nobody"),
    "no main": (program(TANH).replace(b"@main", b"@other"), (1, 3), "main"),
    "size that is no number": (program(TANH).replace(b"4xf32", b"99999999999999999999xf32"), (1, 3, 5), ":1:"),
    "a size that varies made a fixed one": (program("%0 = stablehlo.tanh %arg0 : (tensor<?xf32>) -> tensor<4xf32>\n  return %0 : tensor<4xf32>", inputs="%arg0: tensor<?xf32>"), (3,), "stablehlo.tanh"),
    "a slice of a scalar": (program("%0 = stablehlo.slice %arg0 [] : (tensor<i32>) -> tensor<i32>\n  %1 = stablehlo.reshape %nowhere : (tensor<i32>) -> tensor<4xf32>\n  return %1 : tensor<4xf32>", inputs="%arg0: tensor<i32>"), (1,), ":3:"),
    "bodies that call without measure": (calling(), (3,), "has a body of more than 4096 operations"),
    "a loop that counts without an end": (program(
        """%c = stablehlo.constant dense<0> : tensor<i32>
  %0:2 = stablehlo.while(%i = %c, %x = %arg0) : tensor<i32>, tensor<4xf32>
  cond {
    %1 = stablehlo.compare GE, %i, %c, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %1 = stablehlo.subtract %i, %i : tensor<i32>
    stablehlo.return %1, %x : tensor<i32>, tensor<4xf32>
  }
  return %0#1 : tensor<4xf32>"""), (3,), "without an end"),
    "text that is no text": (b"// stablehlo\n" + bytes(range(1, 256)), (1,), ":2:"),
}


def refuse(tools, tmp_path, codes, part, *flags):
    out = tmp_path / "out"
    out.mkdir()
    done = tools.call("whit-compile", tmp_path / "m.mlir", "-o", out / "m.so", *flags, timeout=60)
    assert done.code in codes, f"exit {done.code}, allowed {codes}\n{done.err[-2000:]}"
    check_message(done, done.code, part)
    assert done.seconds < SECONDS
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("kind", PROGRAMS)
def test_program(tools, tmp_path, kind):
    data, codes, part = PROGRAMS[kind]
    (tmp_path / "m.mlir").write_bytes(data)
    refuse(tools, tmp_path, codes, part)


def weights(header, data=bytes(16), length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(**fields):
    return {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **fields}


PARAMETERS = {
    "empty": (b"", "p.safetensors"),
    "header beyond the file": (weights({}, length=1 << 40), "p.safetensors"),
    "header that is not JSON": (weights(b"{not"), "p.safetensors"),
    "tensor beyond the file": (weights({"arg1": tensor(data_offsets=[16, 32])}), "arg1"),
    "offsets that wrap": (weights({"arg1": tensor(data_offsets=[(1 << 64) - 8, 8])}), "p.safetensors"),
    "size that is not the product": (weights({"arg1": tensor(shape=[3])}), "arg1"),
    "product that wraps": (weights({"arg1": tensor(shape=[1 << 32, 1 << 32, 4])}), "arg1"),
    "integers": (weights({"arg1": tensor(dtype="I32")}), "arg1"),
    "type of nobody": (weights({"arg1": tensor(dtype="F31")}), "F31"),
    "another shape": (weights({"arg1": tensor(shape=[2, 2])}), "arg1"),
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameters(tools, tmp_path, kind):
    data, part = PARAMETERS[kind]
    (tmp_path / "m.mlir").write_bytes(program("%0 = stablehlo.add %arg0, %arg1 : tensor<4xf32>\n  return %0 : tensor<4xf32>",
                                              inputs="%arg0: tensor<4xf32>, %arg1: tensor<4xf32>"))
    (tmp_path / "p.safetensors").write_bytes(data)
    refuse(tools, tmp_path, (1, 3), part, f"--params={tmp_path / 'p.safetensors'}")
