# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every pass, dialect and tool has its tests where its name says they are."""

import re

import pytest

from tree import ROOT, files, kebab, report, text

PASSES = [path for path in files() if path.parts[0] == "passes" and path.suffix == ".td" and len(path.parts) == 3]
DIALECTS = sorted({path.parts[1] for path in files() if path.parts[0] == "dialects" and path.suffix == ".td"})
TOOLS = sorted({path.parts[1] for path in files() if path.parts[0] == "tools" and path.name == "main.cpp"})


def definitions(path):
    """(def name, flag, body) of each pass in a .td file."""
    for block in re.split(r"(?m)^(?=def )", text(path)):
        found = re.match(r'def (\w+)\s*:\s*(?:Interface)?Pass<\s*"([^"]+)"', block)
        if found:
            yield found.group(1), found.group(2), block


@pytest.mark.parametrize("path", PASSES, ids=str)
def test_a_pass_is_named_after_its_file(path):
    names = list(definitions(path))
    assert names, f"{path}: no `def FooPass : Pass<...>` found"
    assert path.stem + "Pass" in [name for name, _, _ in names], f"{path}: no def is called {path.stem}Pass"
    for name, flag, _ in names:
        assert name.endswith("Pass"), f"{path}: {name} does not end in Pass"
        expected = "whit-" + kebab(name.removesuffix("Pass"))
        assert flag == expected, f"{path}: flag {flag}, expected {expected}"


@pytest.mark.parametrize("path", PASSES, ids=str)
def test_a_pass_is_described(path):
    for name, _, body in definitions(path):
        assert re.search(r'let summary = "\S', body), f"{path}: {name} has no summary"
        assert "let description" in body, f"{path}: {name} has no description"
        assert "let constructor" not in body, f"{path}: {name}: constructors are generated"
        assert "Statistic<" not in body, f"{path}: {name}: statistics change a pass's size with NDEBUG; use remarks"


@pytest.mark.parametrize("path", PASSES, ids=str)
def test_a_pass_has_a_test_that_explains_it(path):
    test = ROOT / "test" / "passes" / path.parts[1] / (kebab(path.stem) + ".mlir")
    assert test.is_file(), f"{path}: {test.relative_to(ROOT)} is missing"
    body = test.read_text()
    assert re.search(r"RUN:.*\bwhit-opt\b", body), f"{test}: runs no whit-opt"
    assert any(flag in body for _, flag, _ in definitions(path)), f"{test}: never runs the pass"
    # The first case is the documentation: prose among the comments above its function.
    head = re.split(r"(?m)^\s*(?:func\.func|llvm\.func)", body, maxsplit=1)[0]
    prose = [line for line in head.splitlines() if re.match(r"\s*//\s*(?![A-Z0-9_]+(-[A-Z0-9-]+)?:|SPDX|-----)[%\w]", line)]
    assert prose, f"{test}: the first case does not say what the pass does"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_has_its_tests_and_its_reasons(dialect):
    folder = ROOT / "test" / "dialects" / dialect
    for name in ("roundtrip", "invalid"):
        assert list(folder.glob(f"*{name}*.mlir")), f"test/dialects/{dialect}: no {name}.mlir"
    assert (ROOT / "dialects" / dialect / "README.md").is_file(), f"dialects/{dialect}: no README.md"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_has_a_test(tool):
    """A tool is tested in test/tools/<tool>/ or, where whole models are needed, by a file of its name in test/e2e."""
    found = list((ROOT / "test" / "tools").glob(f"{tool}/*")) + list((ROOT / "test").glob(f"*/test_{tool.replace('-', '_')}*.py"))
    assert found, f"tools/{tool} has no test in test/tools/{tool}/"


def test_mains_are_short():
    report(
        [
            f"tools/{tool}/main.cpp: {count} lines; what is longer than 80 belongs in lib/ or runtime/"
            for tool in TOOLS
            if (count := text(next(p for p in files() if p.as_posix() == f"tools/{tool}/main.cpp")).count("\n")) > 80
        ]
    )


def test_tests_of_passes_belong_to_a_pass():
    known = {(path.parts[1], kebab(path.stem)) for path in PASSES}
    report(
        [
            f"{path}: there is no pass of that name in passes/{path.parts[2]}"
            for path in files()
            if path.parts[:2] == ("test", "passes") and len(path.parts) == 4 and path.suffix == ".mlir" and "Inputs" not in path.parts
            # One pass may have several test files: <pass>-<subject>.mlir.
            and not any(path.parts[2] == stage and (path.stem == name or path.stem.startswith(name + "-")) for stage, name in known)
        ]
    )
