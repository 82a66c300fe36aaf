# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Size, opening lines, names and words of files."""

import re
import subprocess

from tree import CODE, ROOT, files, report, text

SPDX = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
MAXIMUM_LINES = 800
# Spelled in two halves: this file is checked too.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK", "for " + "now", "place" + "holder"]) + r")\b", re.I)
ALLOWED_ISSUE = re.compile("TO" + r"DO\(#\d+\)")


def test_no_file_is_longer_than_800_lines():
    report(
        [
            f"{path}: {count} lines, at most {MAXIMUM_LINES}; split it by subject"
            for path in files()
            if path.suffix in CODE | {".mlir", ".test", ".md", ".txt", ""}
            and path.name != "LICENSE"
            and path.parts[:2] != ("test", "e2e")
            and (count := text(path).count("\n")) > MAXIMUM_LINES
        ]
    )


def test_every_source_opens_with_its_licence():
    problems = []
    for path in files():
        if path.suffix not in CODE or "Inputs" in path.parts:
            continue
        head = text(path).splitlines()[:2]
        if not any(SPDX in line for line in head):
            problems.append(f"{path}:1: the first line is not the SPDX line")
    report(problems)


def test_sources_say_what_they_are():
    """After the SPDX line, C++ and TableGen files say in a comment what they are and why."""
    problems = []
    for path in files():
        # A pass says it in its summary and description.
        if path.parts[0] == "passes" and path.suffix == ".td":
            continue
        if path.suffix in {".cpp", ".h", ".td"} and path.parts[0] in ("runtime", "dialects", "passes", "lib", "tools", "include"):
            words = []
            for line in text(path).splitlines()[1:30]:
                if not line.startswith(("//", " *", "/*")):
                    break
                words += line.strip("/* ").split()
            if len(words) < 4:
                problems.append(f"{path}:2: says not what it is; write 1 to 10 lines of what and why after the SPDX line")
    report(problems)


def test_no_file_is_a_drawer():
    report(
        [
            f"{path}: named after nothing; name it by its subject"
            for path in files()
            if re.fullmatch(r"(Utils?|Misc|Helpers?|Common)", path.stem, re.I)
        ]
    )


def test_nothing_is_left_unfinished():
    problems = []
    for path in files():
        if path.suffix not in CODE | {".mlir", ".test", ".md", ".txt", ""} or path.name == "LICENSE" or path.parts[:2] == ("test", "e2e"):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            found = UNFINISHED.search(line)
            if found and not ALLOWED_ISSUE.search(line):
                problems.append(f"{path}:{number}: unfinished: {found.group(0)}")
    report(problems)


def test_no_path_of_one_machine():
    problems = []
    pattern = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w|/tmp/(?!\$|%)[a-z]+/")
    for path in files():
        if path.suffix in CODE | {".mlir", ".test", ".md", ".txt", ".json", ""} and path.name != "LICENSE":
            if path.as_posix() == "test/house/test_files.py":
                continue
            for number, line in enumerate(text(path).splitlines(), 1):
                if pattern.search(line):
                    problems.append(f"{path}:{number}: {line.strip()[:100]}")
    report(problems)


def test_scripts_parse():
    for path in ("dev", ".ci/run"):
        subprocess.run(["bash", "-n", ROOT / path], check=True)
        assert (ROOT / path).stat().st_mode & 0o111, f"{path} is not executable"


def test_nothing_generated_is_committed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    report(
        [
            f"{name}: generated or binary; make it in the build or the test"
            for name in tracked
            if re.search(r"\.(so|o|a|inc|pyc|onnx|gguf|safetensors|npz|pb)$", name)
        ]
    )
