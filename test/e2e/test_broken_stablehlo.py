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
