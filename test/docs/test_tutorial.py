# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every lesson of docs/tutorial works as it is written: its `sh` blocks run in order in an empty folder, and print what is shown."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/python"))
from real import BUILD, missing  # noqa: E402

LESSONS = sorted((ROOT / "docs/tutorial").glob("[0-9]*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def steps(page: str) -> list[tuple[int, str, str | None]]:
    """(line, commands, what they print or None) of each `sh` block; an unmarked block behind one is its output."""
    found: list = []
    end = 0
    for block in FENCE.finditer(page):
        if block[1] == "sh":
            found.append((page.count("\n", 0, block.start()) + 1, block[2], None))
        elif not block[1]:
            assert found and not page[end : block.start()].strip(), f"a block without a command before it: {block[2][:60]}"
            found[-1] = (*found[-1][:2], block[2])
        end = block.end()
    return found


def same(shown: str, printed: str) -> bool:
    """`...` in `shown` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, shown.strip().split("..."))), printed.strip(), re.S) is not None


def test_there_are_five_lessons():
    assert [p.name[0] for p in LESSONS] == ["1", "2", "3", "4", "5"]
    for lesson in LESSONS:
        blocks = steps(lesson.read_text())
        assert len(blocks) > 1 and any(shown for _, _, shown in blocks), f"{lesson.name}: shows nothing"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson(lesson, tmp_path):
    if not (BUILD / "bin/whit-compile").exists():
        missing(f"{BUILD}/bin/whit-compile is not built")
    work = tmp_path / "work"
    work.mkdir()
    # Of the interpreter that runs this test, `python`; a link would lose its environment.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    path = [programs, BUILD / "bin", "/usr/lib/llvm-22/bin", os.environ["PATH"]]
    environment = {**os.environ, "WHIT": str(ROOT), "BUILD": str(BUILD), "PATH": ":".join(map(str, path)), "HOME": str(tmp_path),
                   "XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for line, commands, shown in steps(lesson.read_text()):
        done = subprocess.run(["bash", "-e", "-c", commands], cwd=work, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        where = f"docs/tutorial/{lesson.name}:{line}"
        assert done.returncode == 0, f"{where}: exit {done.returncode}\n{done.stdout[-3000:]}"
        assert shown is None or same(shown, done.stdout), f"{where}: expected\n{shown}\nprinted\n{done.stdout[-3000:]}"
