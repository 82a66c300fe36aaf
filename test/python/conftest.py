# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Shared by the Python tests: the package on the path, small models made here, and real ones where they can be had.

Real models are looked for in the folder WHIT_MODELS, else in build/models; a test that needs one that is missing is skipped, or
fails when WHIT_REQUIRE_MODELS is set.
"""
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / "python", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def model_path(name: str) -> Path:
    path = Path(os.environ.get("WHIT_MODELS", ROOT / "build/models")) / name
    if not path.exists():
        (pytest.fail if os.environ.get("WHIT_REQUIRE_MODELS") else pytest.skip)(f"real model {path} is not there")
    return path


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory) -> Path:
    """A Llama of two layers with the block types of the real model."""
    from tiny import write_llama

    return write_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_onnx(tiny_gguf) -> Path:
    from whit.convert_gguf import convert

    return convert(tiny_gguf, tiny_gguf.with_name("tiny.onnx"))
