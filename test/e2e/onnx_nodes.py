# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The node tests of the onnx package, compiled and run through `whit.backend`, beside what they are expected to give.

usage: onnx_nodes.py [--write] [PATTERN]     runs those whose name matches (default: all), prints what differs from onnx_nodes.json,
                                             and writes it there
"""
import collections
import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python"))
EXPECTED = HERE / "onnx_nodes.json"

# Inputs that say which shape the result has, and parts of weights, by operator: inputs of the tests, constants where exporters write them.
SHAPING = {"Reshape": [1], "Squeeze": [1], "Unsqueeze": [1], "Slice": [1, 2, 3, 4], "Expand": [1], "Tile": [1], "ConstantOfShape": [0],
           "Range": [0, 1, 2], "Split": [1], "DequantizeLinear": [0, 1, 2], "QuantizeLinear": [1, 2], "Pad": [1, 3], "CumSum": [1],
           "CumProd": [1], "TopK": [1], "OneHot": [1], "Compress": [1], "Dropout": [1, 2], "CenterCropPad": [1], "Resize": [1, 2, 3],
           "Upsample": [1], "AffineGrid": [1], "DFT": [1, 2], "STFT": [1, 3], "Col2Im": [1, 2], "BlackmanWindow": [0],
           "HammingWindow": [0], "HannWindow": [0], "MelWeightMatrix": [0, 1, 2, 3, 4], "MaxUnpool": [2],
           "Loop": [0, 1]}


def cases():
    """Cases by name. Those named `expanded` say an operator in terms of others."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {case.name: case for case in collect_testcases(None)}
    return dict(sorted(found.items()))


def shaping_inputs(graph) -> set:
    """Values that shapes follow from: inputs named above, and integers that these are computed from (not what they are only the shape of,
    nor data, which the scales of DynamicQuantizeLinear follow from)."""
    found = set()
    sizes = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    data = {value.name for value in graph.input if value.type.tensor_type.elem_type not in sizes}
    for node in reversed(graph.node):
        slots = SHAPING.get(node.op_type, [1] if node.op_type.startswith("Reduce") else [])
        found.update(node.input[i] for i in slots if i < len(node.input))
        if node.op_type != "Shape" and found & set(node.output):
            found.update(set(node.input) - data)
    return found


def with_shapes_fixed(case):
    """The model with shaping inputs as constants, and which inputs are left."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    fixed = shaping_inputs(model.graph)
    inputs = list(model.graph.input)
    left = [i for i, value in enumerate(inputs) if value.name not in fixed]
    for value, given in zip(inputs, case.data_sets[0][0]):
        if value.name in fixed and given is not None:
            model.graph.initializer.append(onnx.numpy_helper.from_array(as_array(given), value.name))
    del model.graph.input[:]
    model.graph.input.extend(inputs[i] for i in left)
    return model, left


def as_array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def compare(found, wanted, case):
    """None, or what is wrong. Tolerances are those of the suite."""
    wanted = as_array(wanted)
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return f"{found.dtype}{list(found.shape)} instead of {wanted.dtype}{list(wanted.shape)}"
    if wanted.dtype.kind not in "iub":
        found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    return None if np.allclose(found, wanted, rtol=case.rtol, atol=case.atol, equal_nan=True) else "other numbers"


def reason(error) -> str:
    """A message without what changes from run to run."""
    text = str(error).split("\n")[0] if type(error).__name__ != "UnsupportedError" else "; ".join(error.reasons)
    text = re.sub(r"/\S+?\.onnx: |; command: .*", "", text)
    operators = re.findall(r"\((\w+)\): ([^;]*)", text)
    text = "; ".join(sorted({f"{op}: {why}" for op, why in operators})) if operators else text
    return re.sub(r"'[^']*'", "'...'", text)[:120]


def outcome(case) -> str:
    """pass, differs: ..., or the class of the exception and why."""
    from whit import backend

    try:
        model, left = with_shapes_fixed(case)
        rep = backend.prepare(model)
        for inputs, outputs in case.data_sets:
            results = rep.run([inputs[i] for i in left if i < len(inputs)])
            for found, wanted in zip(results, outputs):
                if wrong := compare(found, wanted, case):
                    return f"differs: {wrong}"
    except Exception as error:  # each kind is an outcome
        return f"{type(error).__name__}: {reason(error)}"
    return "pass"


def main(arguments):
    write = "--write" in arguments
    pattern = next((argument for argument in arguments if argument != "--write"), "")
    found = {name: outcome(case) for name, case in cases().items() if re.search(pattern, name)}
    expected = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    if write:
        EXPECTED.write_text(json.dumps(dict(sorted(((expected if pattern else {}) | found).items())), indent=0) + "\n")
    for name, result in found.items():
        if result != expected.get(name):
            print(f"{name}: {result}   (expected: {expected.get(name)})")
    print(dict(collections.Counter(result.split(":")[0] for result in found.values())))


if __name__ == "__main__":
    main(sys.argv[1:])
