# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The node tests of the onnx package, compiled and run through `whit.backend`, beside what they are expected to give.

usage: onnx_nodes.py [--write] [PATTERN]     runs those whose name matches (default: all), prints what differs from onnx_nodes.json,
                                             and writes it there
       onnx_nodes.py --table                 writes docs/onnx-operators.md from onnx_nodes.json and runs nothing
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
TABLE = HERE.parents[1] / "docs/onnx-operators.md"

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
    nor data, which the scales of DynamicQuantizeLinear follow from; scalars are none)."""
    found = set()
    sizes = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    data = {value.name for value in graph.input if value.type.tensor_type.elem_type not in sizes
            and (value.type.tensor_type.shape.dim or not value.type.HasField("tensor_type"))}
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
    """None, or what is wrong. Tolerances are those of the suite, also for bf16 (`assert_similar_outputs` of its runner)."""
    wanted = as_array(wanted)
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return f"{found.dtype}{list(found.shape)} instead of {wanted.dtype}{list(wanted.shape)}"
    half = wanted.dtype.name == "bfloat16"
    if wanted.dtype.kind not in "iub":
        found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    relative = max(case.rtol, 2**-6) if half else case.rtol
    return None if np.allclose(found, wanted, rtol=relative, atol=case.atol, equal_nan=True) else "other numbers"


def reason(error) -> str:
    """A message without what changes from run to run."""
    text = str(error).split("\n")[0] if type(error).__name__ != "UnsupportedError" else "; ".join(error.reasons)
    text = re.sub(r"/\S+?\.onnx: |; command: .*", "", text)
    operators = re.findall(r"\((\w+)\): ([^;]*)", text)
    text = "; ".join(sorted({f"{op}: {why}" for op, why in operators})) if operators else text
    codes = " ".join(sorted(set(getattr(error, "codes", ())) - {""}))
    return (codes + " " if codes else "") + re.sub(r"'[^']*'", "'...'", text)[:120]


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


def operator_of(name: str, all_cases) -> str:
    """What a test is of; one that says an operator in terms of others is of that."""
    whole = all_cases.get(re.sub(r"_expanded.*$", "", name), all_cases[name])
    node = whole.model.graph.node[-1]
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def is_ordinary(case) -> bool:
    """Whether a test is of tensors of numbers, and of no training or preview domain."""
    graph = case.model.graph
    values = [value.type for value in (*graph.input, *graph.output)]
    return (all(kind.HasField("tensor_type") and kind.tensor_type.elem_type != onnx.TensorProto.STRING for kind in values)
            and not any("preview" in entry.domain for entry in case.model.opset_import)
            and not re.search("training|sequence|optional|string", case.name))


def table(expected, all_cases) -> str:
    """docs/onnx-operators.md: a row for each operator, what its tests give."""
    rows = collections.defaultdict(lambda: [0, 0, collections.Counter()])
    for name, result in expected.items():
        row = rows[operator_of(name, all_cases)]
        row[0] += 1
        row[1] += result == "pass"
        if result != "pass":
            kind, _, why = result.partition(": ")
            row[2]["other numbers" if kind == "differs" else why.replace("|", "\\|").replace("\n", " ").strip()] += 1
    ordinary = [name for name in expected if is_ordinary(all_cases[name])]
    passed, those = (sum(expected[name] == "pass" for name in names) for names in (expected, ordinary))
    lines = ["<!-- Written by `python test/e2e/onnx_nodes.py --table` from test/e2e/onnx_nodes.json; do not edit. -->", "", "# ONNX operators", "",
             f"What the node tests of the onnx package, operator set {onnx.defs.onnx_opset_version()}, give on a CPU: {passed:,} of {len(expected):,}"
             f" pass ({100 * passed / len(expected):.1f} %),",
             f"and {those:,} of the {len(ordinary):,} ({100 * those / len(ordinary):.1f} %) that have no strings, sequences or optional values and are of no"
             " training or preview domain.",
             "Tests that say an operator in terms of others count for it. What does not pass is refused with the code that stands first, before the",
             "model is compiled; 'other numbers' are results outside of the suite's tolerance.", "",
             "| operator | tests | pass | what the others give |", "|---|--:|--:|---|"]
    for operator, (tests, passes, why) in sorted(rows.items(), key=lambda row: (row[0].count("."), row[0])):
        others = "; ".join(f"{count} x {text}" for text, count in sorted(why.items()))
        lines.append(f"| {operator} | {tests} | {passes} | {others} |")
    return "\n".join(lines) + "\n"


def main(arguments):
    if "--table" in arguments:
        TABLE.write_text(table(json.loads(EXPECTED.read_text()), cases()))
        return
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
