# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tables of StableHLO operations: text, what numpy computes, and the constraints of the specification (C1, C2 ...) that it keeps or breaks.

A family of operations is a file with CASES and BROKEN; `family` makes its tests. All cases are functions of one program, so that one
compilation and one interpretation serve them all; all broken ones are one file that is split.
"""
import re
from dataclasses import dataclass

import numpy as np
import pytest

TYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bool": "i1", **{f"int{n}": f"i{n}" for n in (8, 16, 32, 64)},
         **{f"uint{n}": f"ui{n}" for n in (8, 16, 32, 64)}}


def type_of(array) -> str:
    return "tensor<" + "".join(f"{size}x" for size in array.shape) + TYPES[array.dtype.name] + ">"


@dataclass
class Case:
    """`text` reads the family's inputs by name and ends with the value `%r`, or with `%r:2` and so on."""

    text: str
    expected: object
    rules: str = ""
    scale: float = 0.0  # of the largest term of a sum: rounding is measured by it

    def arrays(self):
        return list(self.expected) if isinstance(self.expected, tuple) else [self.expected]


@dataclass
class Broken:
    """`text` breaks one rule; `message` is part of what is said about it."""

    text: str
    rule: str
    message: str


def line(text: str) -> str:
    return "\n    ".join(part.strip() for part in text.strip().splitlines())


def program(cases: dict, inputs: dict) -> str:
    arguments = ", ".join(f"%{name}: {type_of(array)}" for name, array in inputs.items())
    names, types = ", ".join(f"%{name}" for name in inputs), ", ".join(map(type_of, inputs.values()))
    functions, calls, returned, outputs = [], [], [], []
    for n, case in enumerate(cases.values()):
        arrays = case.arrays()
        results = ", ".join(map(type_of, arrays))
        values = "%r" if len(arrays) == 1 else ", ".join(f"%r#{i}" for i in range(len(arrays)))
        functions.append(f"  func.func private @case{n}({arguments}) -> ({results}) {{\n    {line(case.text)}\n    return {values} : {results}\n  }}\n")
        calls.append(f"    %r{n}:{len(arrays)} = call @case{n}({names}) : ({types}) -> ({results})\n")
        returned += [f"%r{n}#{i}" for i in range(len(arrays))]
        outputs += map(type_of, arrays)
    main = f"  func.func public @main({arguments}) -> ({', '.join(outputs)}) {{\n{''.join(calls)}    return {', '.join(returned)} : {', '.join(outputs)}\n  }}\n"
    return "module {\n" + main + "".join(functions) + "}\n"


def check(case: Case, found: list, units: int) -> None:
    """Integers are equal; floats are within some units in the last place of the result, or of what it is a sum of."""
    for wanted, value in zip(case.arrays(), found, strict=True):
        wanted = np.asarray(wanted)
        assert value.shape == wanted.shape and value.dtype == wanted.dtype
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(value, wanted)
            continue
        regular = np.isfinite(wanted)
        np.testing.assert_array_equal(value[~regular], wanted[~regular])
        scale = np.maximum(np.abs(wanted[regular]), max(case.scale, np.finfo(wanted.dtype).tiny)).astype(wanted.dtype)
        assert (np.abs(value[regular].astype(np.float64) - wanted[regular]) <= units * np.spacing(scale)).all()


def family(cases: dict, broken: dict, inputs: dict, preamble: str = ""):
    """The tests of a family: compiled and interpreted values, and refusals. `preamble` declares what broken cases read."""

    @pytest.fixture(scope="module")
    def computed(tools, tmp_path_factory):
        folder = tmp_path_factory.mktemp("family")
        source, artifact, given = folder / "cases.mlir", folder / "cases.so", folder / "in.npz"
        source.write_text(program(cases, inputs))
        feeds = {f"arg{n}": array for n, array in enumerate(inputs.values())}
        np.savez(given, **feeds)
        tools.run("whit-compile", source, "-o", artifact, "--quiet")
        tools.run("whit-compile", source, "--stop-after=imported", "-o", folder / "imported.mlir", "--quiet")
        tools.run("whit-check", folder / "imported.mlir", "--inputs", given, "--outputs", folder / "interpreted.npz")
        with np.load(folder / "interpreted.npz") as file:
            return tools.infer(artifact, feeds), dict(file)

    @pytest.fixture(scope="module")
    def refused(tools, tmp_path_factory):
        source = tmp_path_factory.mktemp("broken") / "broken.mlir"
        texts = [f"func.func @f({preamble}) {{\n  {line(case.text)}\n  return\n}}\n" for case in broken.values()]
        starts = np.cumsum([0, *(text.count("\n") + 1 for text in texts)]) if texts else []
        source.write_text("// -----\n".join(texts))
        done = tools.call("whit-opt", source, "--split-input-file")
        messages = [(int(number), text) for number, text in re.findall(r"broken\.mlir:(\d+):\d+: error: (.*)", done.err)]
        assert done.code == 1 or not texts, done.err
        return {name: [text for number, text in messages if starts[i] < number <= starts[i + 1]] for i, name in enumerate(broken)}

    places = np.cumsum([0, *(len(case.arrays()) for case in cases.values())])
    order = list(cases)

    @pytest.mark.parametrize("name", cases)
    def test_case(name, computed):
        where = range(places[order.index(name)], places[order.index(name) + 1])
        for results, units in zip(computed, (8, 2)):
            # The interpreter computes in f64, and hands that out.
            check(cases[name], [results[f"out{n}"].astype(wanted.dtype) for n, wanted in zip(where, cases[name].arrays())] if units == 2 else
                  [results[f"out{n}"] for n in where], units)

    @pytest.mark.parametrize("name", broken)
    def test_broken(name, refused):
        assert refused[name], f"{broken[name].rule}: accepted"
        assert broken[name].message in refused[name][0]

    return computed, refused, test_case, test_broken
