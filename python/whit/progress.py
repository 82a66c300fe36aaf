# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One line for each stage of a longer job, and a bar for a stage that takes more than two seconds.

On a terminal the bar is redrawn in place and gives way to the stage's line; elsewhere only the lines are written.
"""
from __future__ import annotations

import sys
import threading
import time

_LABEL, _BAR, _PATIENCE = 12, 30, 2.0


class Stage:
    """`with Stage("convert") as stage:` prints `convert  <stage.note>  <seconds>` at the end.

    `update` says how much is done; without a total the bar moves to and fro. Nothing is printed when the block raises.
    """

    def __init__(self, label: str, out=None):
        self.label, self.note, self.seconds = label, "", 0.0
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._done, self._total, self._text = 0, 0, ""
        self._stop = threading.Event()

    def update(self, done: float = 0, total: float = 0, text: str = "") -> None:
        self._done, self._total, self._text = done, total, text

    def __enter__(self) -> Stage:
        self._start = time.monotonic()
        if self._live:
            self._painter = threading.Thread(target=self._paint, daemon=True)
            self._painter.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.seconds = time.monotonic() - self._start
        if self._live:
            self._stop.set()
            self._painter.join()
        if kind is None:
            print(f"{self.label:<{_LABEL}} {self.note:<58} {self.seconds:7.1f} s", file=self._out, flush=True)

    def _paint(self) -> None:
        drawn = False
        if not self._stop.wait(_PATIENCE):
            while not self._stop.wait(0.1):
                print("\r" + self._bar()[:100] + "\x1b[K", end="", file=self._out, flush=True)
                drawn = True
        if drawn:
            print("\r\x1b[K", end="", file=self._out, flush=True)

    def _bar(self) -> str:
        elapsed = time.monotonic() - self._start
        if self._total:
            filled = round(_BAR * min(1.0, self._done / self._total))
            bar = "#" * filled + " " * (_BAR - filled)
        else:
            place = int(elapsed * 10) % (2 * (_BAR - 3))
            place = min(place, 2 * (_BAR - 3) - place)
            bar = " " * place + "###" + " " * (_BAR - 3 - place)
        return f"{self.label:<{_LABEL}} [{bar}] {elapsed:5.0f} s  {self._text}"
