# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""An installed Whit, as those see it who build against it: a prefix outside of the source tree, and an empty home."""
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "test", ROOT / "test/python", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
from command import run  # noqa: E402
from real import BUILD, missing  # noqa: E402


@pytest.fixture(scope="session")
def install(tmp_path_factory):
    """install(component...) -> a new prefix with these components of the build folder."""
    if not (BUILD / "bin/whit-opt").exists():
        missing(f"{BUILD}/bin/whit-opt is not built")

    def make(*components: str) -> Path:
        prefix = tmp_path_factory.mktemp("prefix") / "whit"
        for component in components:
            run("cmake", "--install", BUILD, "--prefix", prefix, "--component", component)
        return prefix

    return make


@pytest.fixture(scope="session")
def prefix(install) -> Path:
    return install("runtime", "compiler")


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> dict:
    """The user's trust store and caches are left alone; nothing of the source tree is on a search path."""
    home = tmp_path_factory.mktemp("home")
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH", "CMAKE_PREFIX_PATH", "WHIT_BUILD")}
    return {**clean, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache")}


@pytest.fixture(scope="session")
def build(tmp_path_factory, environment):
    """build(project, prefix, flags...) -> its build folder; the project is copied out of the source tree first."""

    def make(project: str, prefix: Path, *flags: str) -> Path:
        folder = tmp_path_factory.mktemp("project")
        run("cp", "-r", ROOT / "examples" / project, folder / "source")
        run("cmake", "-S", folder / "source", "-B", folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}", *flags,
            env=environment)
        run("ninja", "-C", folder / "build", "-j1", env=environment)
        return folder / "build"

    return make


@pytest.fixture(scope="session")
def float_model(tmp_path_factory) -> Path:
    """Two matrix products, y = (x @ large) @ small: weights of 16 KiB and 4 KiB."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(1)
    weights = {"large": (64, 64), "small": (64, 16)}
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "large"], ["h"], name="first"), helper.make_node("MatMul", ["h", "small"], ["y"], name="second")],
        "two_products", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 16])],
        [numpy_helper.from_array(random.uniform(-1, 1, shape).astype(np.float32), name) for name, shape in weights.items()])
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path
