# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How messages read, how patterns refuse, and where the names of formats are spelled."""

import re

from tree import in_rooms, report, text, without_comments

COMPILER = ("dialects", "passes", "lib", "tools")
MESSAGE = re.compile(
    r'\b(emitError|emitOpError|emitWarning|emitRemark|notifyMatchFailure|attachNote|createStringError|reportError)\s*\('
    r'(?P<arguments>[^;{}"]*?)(?P<literal>"(?:\\.|[^"\\])*")?(?P<rest>[^;]*);'
)
STRING = re.compile(r'"((?:\\.|[^"\\\n])*)"')
# Words whose capital belongs to them.
CAPITALIZED = re.compile(r"(ONNX|MLIR|LLVM|GGUF|ISA|AVX|AMX|CPU|GPU|JSON|ELF|K|N|M|D|S|B|H|C|KV|LSP|ABI|I/O|GroupQuery\w*|MatMul\w*|[A-Z]\w*[A-Z]\w*)\b")


def messages(path):
    source = text(path)
    for match in MESSAGE.finditer(source):
        call = match.group(0)
        strings = STRING.findall(call)
        if strings:
            yield source.count("\n", 0, match.start()) + 1, strings


def test_messages_start_lower_case_and_have_no_final_period():
    problems = []
    for path in in_rooms(*COMPILER, suffixes={".cpp", ".h", ".td"}):
        for number, strings in messages(path):
            first, last = strings[0].lstrip("'`\" "), strings[-1].rstrip("'`\" ")
            if first[:1].isupper() and not CAPITALIZED.match(first):
                problems.append(f"{path}:{number}: starts with a capital: {first[:60]}")
            if last.endswith((".", "!")) and not last.endswith("..."):
                problems.append(f"{path}:{number}: ends with a period: {last[-60:]}")
    report(problems)


def body_after(source, start):
    """The braces-balanced block that follows `start`; empty for a declaration."""
    brace, semicolon = source.find("{", start), source.find(";", start)
    if brace < 0 or 0 <= semicolon < brace:
        return ""
    depth = 0
    for position in range(brace, len(source)):
        depth += {"{": 1, "}": -1}.get(source[position], 0)
        if depth == 0:
            return source[brace : position + 1]
    return source[brace:]


def test_patterns_say_why_they_do_not_match():
    problems = []
    for path in in_rooms("passes", "dialects", "lib", suffixes={".cpp"}):
        source = without_comments(text(path))
        for match in re.finditer(r"\bmatchAndRewrite\s*\(", source):
            body = body_after(source, match.end())
            for bare in re.finditer(r"\breturn\s+(mlir::)?failure\(\s*\)\s*;", body):
                number = source.count("\n", 0, source.find(body, match.end()) + bare.start()) + 1
                problems.append(f"{path}:{number}: return failure() without a reason; use notifyMatchFailure")
    report(problems)


def test_the_outcome_of_a_rewrite_driver_is_not_thrown_away():
    problems = []
    for path in in_rooms("passes", "lib", suffixes={".cpp"}):
        for number, line in enumerate(text(path).splitlines(), 1):
            if re.search(r"\(void\)\s*(mlir::)?apply\w*", line):
                problems.append(f"{path}:{number}: {line.strip()}")
    report(problems)


def test_formats_are_spelled_only_in_their_table():
    """A format's name in a C++ or TableGen literal, outside Formats.def, would be a second place to edit for a new format."""
    table = next(p for p in in_rooms("include", suffixes={".def"}) if p.name == "Formats.def")
    stems = set(re.findall(r'WHIT_FORMAT_FAMILY\("(\w+)"', text(table)))
    rows = re.findall(r'WHIT_FORMAT(?:_FAMILY)?\("(\w+)",(?:\s*"\w*",)?\s*"[^"]*",\s*"([^"]*)"', text(table))
    aliases = {alias.split("=")[0] for _, listed in rows for alias in listed.split()} | {name for name, _ in rows if name not in stems}
    assert len(stems) >= 16 and aliases
    spelled = re.compile(r'"(?:(?:' + "|".join(sorted(stems)) + r")_(?:g\d+|channel|tensor)\w*|" + "|".join(sorted(aliases)) + r')"')
    problems = []
    for path in in_rooms("include", "runtime", "dialects", "passes", "lib", "tools", suffixes={".cpp", ".h", ".td", ".def"}):
        if path == table:
            continue
        # Prose may quote a name; code may not.
        for number, line in enumerate(text(path).splitlines(), 1):
            code = line.split("//")[0]
            if "//" not in line[: len(line) - len(line.lstrip()) + 2] and spelled.search(code):
                problems.append(f"{path}:{number}: spells {spelled.search(code).group(0)}")
    report(problems)
