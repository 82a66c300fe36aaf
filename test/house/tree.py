# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The files of the repository, as the house tests see them."""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = {".cpp", ".h", ".def", ".td", ".py", ".cmake", ".c"}


@functools.cache
def files():
    """Every file that is, or could be, committed: relative paths, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    return sorted({pathlib.PurePosixPath(name) for name in listed.split("\0") if name and (ROOT / name).is_file()})


@functools.cache
def text(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def in_rooms(*rooms, suffixes):
    return [path for path in files() if path.parts[0] in rooms and path.suffix in suffixes]


def without_comments(source):
    """C++ or TableGen with comments and the insides of string literals blanked; line numbers stay."""

    def blank(match):
        found = match.group(0)
        keep = '""' if found.startswith('"') else ""
        return keep + re.sub(r"[^\n]", " ", found)[len(keep) :]

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, source, flags=re.S)


def kebab(name):
    """FuseDequant -> fuse-dequant, LowerToLLVM -> lower-to-llvm."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return name.lower()


def report(problems):
    """Fails with all problems at once, one per line."""
    assert not problems, "\n" + "\n".join(problems)
