# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The README's first command in an empty home: it answers "Paris" and leaves an artifact that `chat` finds by its name."""
import os
import re
import subprocess
import sys

import pytest
from real import ROOT, model_path, need_build


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty home; the model file alone is put where the demo would have stored it, so that tests need no network twice."""
    need_build()
    pytest.importorskip("tokenizers")
    home = tmp_path_factory.mktemp("demo")
    folder = home / ".cache/whit/smollm2"
    folder.mkdir(parents=True)
    (folder / "smollm2.gguf").symlink_to(model_path("smollm2.gguf"))
    return home


def whit(home, *arguments, text=None):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-m", "whit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, input=text)


def test_demo_says_paris(home):
    done = whit(home, "demo")
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout and "\ufffd" not in done.stdout
    for stage in ("fetch", "convert", "compile", "load"):
        assert re.search(rf"^{stage} .*\d s$", done.stderr, re.M), done.stderr
    assert re.search(r"MB code and [\d.]+ MB weights", done.stderr)
    assert re.search(r"prompt \d+ tokens at \d+ tokens/s, answer \d+ tokens at \d+ tokens/s", done.stdout)
    print(done.stderr, done.stdout)


def test_then_chat(home):
    done = whit(home, "chat", "smollm2.so", "--prompt", "What is the capital of France?")
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    talk = whit(home, "chat", "smollm2.so", text="What is the capital of France?\nAnd of Italy?\n")
    assert talk.returncode == 0, talk.stderr
    assert talk.stdout.startswith(done.stdout) and len(talk.stdout.splitlines()) >= 2
