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

# Operators whose tests are looked at: those of the exporters that Whit serves, and what belongs to them.
OPERATORS = set("""
    Abs Add And Attention Cast CastLike Ceil Clip Concat Constant ConstantOfShape Conv Cos DequantizeLinear Div DynamicQuantizeLinear Elu Equal Erf
    Exp Expand Flatten Floor Gather GatherND Gelu Gemm Greater GreaterOrEqual HardSigmoid HardSwish Identity If IsNaN LayerNormalization LeakyRelu
    Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mod Mul Neg Not Or Pow QuantizeLinear Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape RMSNormalization
    RotaryEmbedding Round ScatterND Shape Sigmoid Sign Sin Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Swish Tanh Tile Transpose
    Trilu Unsqueeze Where Xor
""".split())

# Inputs that say which shape the result has, and parts of weights, by operator: inputs of the tests, constants where exporters write them.
SHAPING = {"Reshape": [1], "Squeeze": [1], "Unsqueeze": [1], "Slice": [1, 2, 3, 4], "Expand": [1], "Tile": [1], "ConstantOfShape": [0],
           "Range": [0, 1, 2], "Split": [1], "DequantizeLinear": [0, 1, 2], "QuantizeLinear": [1, 2]}


def cases():
    """Cases by name. Those named `expanded` say an operator in terms of others; of these only attention is looked at."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {case.name: case for case in collect_testcases(None)}
    return {name: found[name] for name in sorted(found)
            if {node.op_type for node in found[name].model.graph.node} <= OPERATORS
            and ("expanded" not in name or "attention" in name) and all(not entry.domain for entry in found[name].model.opset_import)}


def with_shapes_fixed(case):
    """The model with shaping inputs as constants, and which inputs are left."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    fixed = {node.input[i] for node in model.graph.node for i in SHAPING.get(node.op_type, [1] if node.op_type.startswith("Reduce") else [])
             if i < len(node.input)}
    inputs = list(model.graph.input)
    left = [i for i, value in enumerate(inputs) if value.name not in fixed]
    for value, given in zip(inputs, case.data_sets[0][0]):
        if value.name in fixed:
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
