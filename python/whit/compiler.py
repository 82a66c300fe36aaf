# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reaches the compiler: finds the `whit-compile` executable, runs it, and turns what it reports into exceptions."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Callable

from .errors import FileError, UnsupportedError, UsageError, error_of


def find_tool(name: str) -> Path:
    """An executable of Whit: beside the package, in the build folder of its source tree, or on PATH."""
    package = Path(__file__).resolve().parent
    folders = [package / "bin", package.parents[1] / "build/bin"]
    if "WHIT_BUILD" in os.environ:
        folders.insert(0, Path(os.environ["WHIT_BUILD"]) / "bin")
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    if found := shutil.which(name):
        return Path(found)
    raise FileError(f"{name} was not found in {', '.join(map(str, folders))} or on PATH; build it with: ./dev build")


def flags_of(options: dict) -> list[str]:
    """Keyword arguments as flags: context=4096 -> --context=4096, explain=True -> --explain, a list repeats its flag, and a dict gives
    NAME=VALUE: dim={"batch_size": 1} -> --dim batch_size=1."""
    flags = []
    for key, value in options.items():
        name = "--" + key.replace("_", "-")
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, dict):
                flags += [part for k, v in one.items() for part in (name, f"{k}={v}")]
            elif one is True:
                flags.append(name)
            elif one is not None and one is not False:
                flags.append(f"{name}={one}")
    return flags


def _diagnostic(line: str) -> dict | None:
    """One line of --diagnostics=json, or None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "severity" in found and "message" in found else None


def _sentence(found: dict, nodes: list) -> str:
    """A diagnostic as one line: where, what, and what to do."""
    quoted = ", ".join(f"'{n}'" for n in nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
    where = [found.get("file", ""), quoted + (f" ({found['op']})" if found.get("op") else "")]
    return ": ".join(part for part in [*where, found["message"]] if part.strip()) + (f"; {found['help']}" if found.get("help") else "")


def _raise(exit_code: int, found: list[dict], text: list[str]) -> None:
    errors = [d for d in found if d["severity"] == "error"]
    nodes = [[n for n in d.get("nodes") or [d.get("node") or d.get("tensor") or ""] if n] for d in errors]
    sentences = [_sentence(d, n) for d, n in zip(errors, nodes)] or text[-20:] or [f"whit-compile failed with status {exit_code}"]
    if exit_code == UnsupportedError.exit_code:
        raise UnsupportedError(f"{len(sentences)} things are not supported", sentences, [n for names in nodes for n in names],
                               [d.get("code", "") for d in errors])
    raise error_of(exit_code, "\n".join(sentences))


def run_compiler(model: Path, output: Path, options: dict, report: Callable[[str], None] = lambda line: None) -> None:
    """Run whit-compile; `report` gets each line it prints while it works. Raises what its exit code and diagnostics mean."""
    command = [str(find_tool("whit-compile")), os.fspath(model), "-o", os.fspath(output), *flags_of({"diagnostics": "json", **options})]
    text, found = [], []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as process:
        try:
            for line in map(str.rstrip, process.stdout):
                if diagnostic := _diagnostic(line):
                    found.append(diagnostic)
                else:
                    text.append(line)
                    report(line)
        except BaseException:
            process.terminate()  # the compiler removes what it has half written
            raise
    if process.returncode < 0:
        raise error_of(70, f"whit-compile was ended by signal {-process.returncode}; command: {' '.join(command)}")
    if process.returncode:
        _raise(process.returncode, found, text)


def compile(model, target="host", output=None, *, weights=None, quantizer=None, format_map=None, keep=None, report=None,
            device=None, **flags):
    """Compile a model and load it.

    `model` is the path of an ONNX file (or of another kind that whit-compile reads), its bytes, or an object with `SerializeToString`.
    `output` keeps the artifact at a path; without it, it lives as long as the module. `target` is "host" or CPU names, several in a
    list.

    `weights` is the format that float weights are quantized to, such as "int4_g32", by the `quantizer` "least-squares" (default) or
    "nearest". `format_map` has other formats for some, {"*lm_head*": "int8_channel"}, and `keep` the patterns of those that stay floats;
    both are compared with the names of weights and of the nodes that use them. `report` is a file that says what each weight cost and
    lost: a page with plots (.html), text (.txt) or JSON.

    `device` is where the module runs, as `load` takes it; for a GPU its architecture must be the target.

    Other keywords are flags of whit-compile: activations="int8", kv="int8", context=4096, dim={...}.
    """
    if isinstance(format_map, dict):
        format_map = [f"{names}={format}" for names, format in format_map.items()]
    flags = {"weights": weights, "quantizer": quantizer, "format_map": format_map, "keep": keep, "report": report, **flags}
    folder = None
    if output is None or not isinstance(model, (str, os.PathLike)):
        folder = tempfile.TemporaryDirectory(prefix="whit-")
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if isinstance(model, (bytes, bytearray, memoryview)):
        source = Path(folder.name) / "model.onnx"
        source.write_bytes(model)
    elif isinstance(model, (str, os.PathLike)):
        source = Path(model)
    else:
        raise UsageError(f"model is a {type(model).__name__}; a path, bytes or a ModelProto is required")
    result = Path(output) if output is not None else Path(folder.name) / "model.so"
    run_compiler(source, result, {"target": target, **flags})
    from .module import load

    module = load(result, trust=True, device=device)
    module._keep = folder if output is None else None
    return module
