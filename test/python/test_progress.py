# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One line per stage; the bar appears only on a terminal and only after two seconds."""
import io

import pytest

from whit import progress
from whit.demo import stage_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_one_line_without_a_terminal(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    out = io.StringIO()
    with progress.Stage("convert", out) as stage:
        stage.update(1, 2)
        stage.note = "m.onnx"
    assert out.getvalue().startswith("convert      m.onnx ") and out.getvalue().count("\n") == 1 and "#" not in out.getvalue()


def test_short_stages_show_no_bar():
    out = Terminal()
    with progress.Stage("convert", out):
        pass
    assert "[" not in out.getvalue()


def test_the_bar_gives_way_to_the_line(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    out = Terminal()
    with progress.Stage("compile", out) as stage:
        stage.update(1, 2, "tile")
        stage._stop.wait(0.35)
    assert "[" + "#" * 15 + " " * 15 + "]" in out.getvalue() and "tile" in out.getvalue()
    assert out.getvalue().rpartition("\x1b[K")[2].startswith("compile ")


def test_a_failed_stage_prints_nothing():
    out = io.StringIO()
    with pytest.raises(KeyError), progress.Stage("compile", out):
        raise KeyError
    assert out.getvalue() == ""


def test_stage_lines_of_the_compiler_move_the_bar():
    stage = progress.Stage("compile", io.StringIO())
    report = stage_progress(stage)
    report("[3/8] encoded     0.42 s  212 weights")
    assert (stage._done, stage._total, stage._text) == (3, 8, "encoded 0.42 s 212 weights")
    report("some remark")
    assert stage._text == "some remark"
