# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Shared by the end-to-end tests: the tools as they were built, models, and artifacts compiled once a session.

Tools are looked for in `bin` of the build folder (WHIT_BUILD, else build/); models as `test/python/real.py` says. Trust and caches of
the user are left alone: the tools get an empty home.
"""
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (ROOT / "python", ROOT / "test/python", ROOT / "test", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
from real import BUILD, missing, model_path  # noqa: E402


@dataclass
class Done:
    """What one command did and used."""

    code: int
    out: str
    err: str
    seconds: float
    peak_mb: float


def peak_mb(pid: int) -> float:
    """Most memory a running process has had. (ru_maxrss would not do: a child starts with the peak of the Python that spawned it.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


class Tools:
    """Runs the command line tools; `call` returns what happened, `run` insists on success."""

    def __init__(self, home: Path):
        self.home = home
        self.environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache")}

    def call(self, tool: str, *arguments, timeout: float = 600) -> Done:
        path = BUILD / "bin" / tool
        if not path.exists():
            missing(f"{path} is not built")
        start, out, err = time.monotonic(), self.home / "out.txt", self.home / "err.txt"
        with open(out, "wb") as out_file, open(err, "wb") as err_file:
            process = subprocess.Popen([str(path), *map(str, arguments)], stdout=out_file, stderr=err_file, env=self.environment)
            peak = 0.0
            while process.poll() is None:
                peak = max(peak, peak_mb(process.pid))
                if time.monotonic() > start + timeout:
                    process.kill()
                    process.wait()
                    pytest.fail(f"{tool} ran longer than {timeout} s")
                time.sleep(0.005)
        return Done(process.returncode, out.read_text(errors="replace"), err.read_text(errors="replace"), time.monotonic() - start, peak)

    def run(self, tool: str, *arguments, timeout: float = 600) -> Done:
        done = self.call(tool, *arguments, timeout=timeout)
        assert done.code == 0, f"{tool} {' '.join(map(str, arguments))}\nexit {done.code}\n{done.err[-3000:]}"
        return done

    def infer(self, artifact: Path, feeds: dict, *flags) -> dict:
        """Outputs of one `whit-run` by name."""
        given, results = self.home / "in.npz", self.home / "out.npz"
        np.savez(given, **feeds)
        self.run("whit-run", artifact, "--inputs", given, "--outputs", results, *flags)
        with np.load(results) as file:
            return dict(file)

    def generate(self, artifact: Path, ids: list, count: int, *flags) -> dict:
        done = self.run("whit-run", artifact, "--generate", count, "--prompt-ids", ",".join(map(str, ids)), "--json", *flags)
        return json.loads(done.out.strip().splitlines()[-1]) | {"peak_mb": done.peak_mb}


@pytest.fixture(scope="session")
def tools(tmp_path_factory) -> Tools:
    return Tools(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def compiled(tools, tmp_path_factory):
    """compiled(model path, flags...) -> (artifact, what the compilation used); each combination is compiled once."""
    folder, known = tmp_path_factory.mktemp("artifacts"), {}

    def compile_once(model: Path, *flags) -> tuple[Path, Done]:
        key = (model, *flags)
        if key not in known:
            output = folder / f"{model.stem}-{len(known)}.so"
            known[key] = output, tools.run("whit-compile", model, "-o", output, *flags)
        return known[key]

    return compile_once


@pytest.fixture(scope="session")
def genai_int4() -> Path:
    return model_path("smollm2_genai_int4.onnx")


@pytest.fixture(scope="session")
def optimum_fp32():
    """A copy of the Optimum export beside it, with rotary frequencies for theta 100,000: those of the model's own configuration, and of
    the programs that JAX made of it. The export has 10,000, with which it answers nonsense."""
    import onnx

    source = model_path("smollm2_optimum_fp32.onnx")
    graph = onnx.load(str(source), load_external_data=False)
    tensors = [a.t for node in graph.graph.node if node.op_type == "Constant" for a in node.attribute if list(a.t.dims) == [1, 32, 1]]
    assert len(tensors) == 1
    frequencies = (1e5 ** (-np.arange(32) / 32)).astype(np.float32).reshape(1, 32, 1)
    tensors[0].CopyFrom(onnx.numpy_helper.from_array(frequencies, tensors[0].name))
    copy = source.with_name(f".optimum.{os.getpid()}.onnx")  # external data is found beside the graph
    onnx.save(graph, str(copy))
    yield copy
    copy.unlink()


@pytest.fixture(scope="session")
def two_layers(optimum_fp32):
    """The first two layers of the Optimum export, with its embedding and head."""
    import onnx

    model = onnx.load(str(optimum_fp32), load_external_data=False)
    graph = model.graph
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == "/model/layers.29/Add_1_output_0":
                node.input[i] = "/model/layers.1/Add_1_output_0"
    outputs = [o for o in graph.output if not o.name.startswith("present.") or int(o.name.split(".")[1]) < 2]
    needed, nodes = {o.name for o in outputs}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed.update(node.input)
    inputs, tensors = ([x for x in part if x.name in needed] for part in (graph.input, graph.initializer))
    for field, kept in (("node", nodes), ("input", inputs), ("output", outputs), ("initializer", tensors)):
        kept = [type(x).FromString(x.SerializeToString()) for x in kept]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)
    copy = optimum_fp32.with_name(f".slice.{os.getpid()}.onnx")
    onnx.save(model, str(copy))
    yield copy
    copy.unlink()


@pytest.fixture(scope="session")
def tokens():
    from whit.tokens import Tokens

    return Tokens(model_path("smollm2.gguf"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A two-layer model with the operators and formats of the demo's own file; compiles in a moment."""
    pytest.importorskip("gguf")
    from tiny import write_llama

    from whit.convert_gguf import convert

    folder = tmp_path_factory.mktemp("tiny")
    return convert(write_llama(folder / "tiny.gguf"), folder / "tiny.onnx")
