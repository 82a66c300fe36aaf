# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rooms stand in one line; each may use those to its left, never those to its right."""

import re

from tree import ROOT, files, in_rooms, report, text

ORDER = ["include", "runtime", "dialects", "passes", "lib", "tools"]
# Where `#include "x"` is looked up, in the order of the include path. A generated file belongs to the room it is generated for.
SOURCES = {".cpp", ".h", ".def", ".c"}


def room_of_include(includer, name):
    """The room that an included file lives in; None when it is not ours."""
    beside = (ROOT / includer).parent / name
    if beside.is_file():
        return includer.parts[0]
    if name.endswith(".inc") or name == "Passes.h":
        stage_or_dialect = name.split("/")[0]
        return "dialects" if (ROOT / "dialects" / stage_or_dialect).is_dir() else "passes"
    if name.split("/")[0] in ORDER and (ROOT / name).is_file():
        return name.split("/")[0]
    for room in ORDER:
        if (ROOT / room / name).is_file():
            return room
    return None


def includes(path):
    for number, line in enumerate(text(path).splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            yield number, found.group(1)


def test_no_room_looks_to_its_right():
    problems = []
    for path in in_rooms(*ORDER, suffixes=SOURCES):
        for number, name in includes(path):
            target = room_of_include(path, name)
            if target and ORDER.index(target) > ORDER.index(path.parts[0]):
                problems.append(f"{path}:{number}: {path.parts[0]} includes {name}, which is in {target}, to its right")
    report(problems)


def test_the_compiler_sees_only_the_bytes_of_the_runtime():
    """Codecs (all rooms) and what makes bytes an artifact (lib): both sides of a byte format share its code."""
    problems = []
    for path in in_rooms("dialects", "passes", "lib", suffixes=SOURCES):
        allowed = ("runtime/encoding/", "runtime/trust/") if path.parts[0] == "lib" else ("runtime/encoding/",)
        for number, name in includes(path):
            if name.startswith("runtime/") and not name.startswith(allowed):
                problems.append(f"{path}:{number}: {name} is not in {' or '.join(allowed)}")
            if re.match(r"(core|devices|tool)/", name):
                problems.append(f"{path}:{number}: {name} is a part of the runtime")
    report(problems)


def test_the_contract_and_the_runtime_know_no_llvm():
    problems = []
    for path in in_rooms("include", "runtime", suffixes=SOURCES) + [
        path for path in files() if path.as_posix().startswith("tools/whit-run/")
    ]:
        for number, line in enumerate(text(path).splitlines(), 1):
            if re.match(r'\s*#\s*include\s+["<](llvm|mlir|lld)/', line):
                problems.append(f"{path}:{number}: {line.strip()}")
    report(problems)


def test_the_contract_includes_only_itself_and_the_standard_library():
    problems = []
    for path in in_rooms("include", suffixes=SOURCES):
        for number, name in includes(path):
            if not name.startswith("whit/"):
                problems.append(f'{path}:{number}: includes "{name}"')
    report(problems)


def test_python_knows_only_the_c_headers():
    """And the number formats, which are the same code wherever a matrix is stored or read."""
    problems = []
    for path in in_rooms("python", suffixes={".cpp", ".h"}):
        for number, name in includes(path):
            if not name.startswith(("whit/", "runtime/encoding/")) and not (ROOT / path).parent.joinpath(name).is_file():
                problems.append(f'{path}:{number}: includes "{name}", which is not in include/whit or runtime/encoding')
    report(problems)


def test_one_file_names_two_passes():
    """Passes meet only in Pipeline.cpp, so that their order has one place."""
    problems = []
    for path in in_rooms("passes", "lib", "tools", suffixes={".cpp"}):
        if path.name == "Pipeline.cpp":
            continue
        own = path.stem
        created = set(re.findall(r"\bcreate([A-Z]\w*)Pass\(", text(path))) - {own}
        ours = {name for name in created if list((ROOT / "passes").glob(f"*/{name}.td"))}
        if len(ours) > 1:
            problems.append(f"{path}: creates {', '.join(sorted(ours))}; only passes/Pipeline.cpp joins passes")
    report(problems)
