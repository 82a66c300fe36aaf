# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs of JAX with their weights: `*.stablehlo.mlir` and `*.arguments.json` stand beside the recipes of the real models."""
from pathlib import Path

from real import RECIPES, missing, model_path


def program(name: str) -> Path:
    path = RECIPES / f"{name}.stablehlo.mlir"
    return path if path.exists() else missing(f"{path} is not there")


def flags(name: str, params: Path) -> list[str]:
    """What binds the arguments of a program to a file of tensors."""
    return [f"--params={params}", f"--param-names={RECIPES / f'{name}.arguments.json'}"]


def write_llama(folder: Path) -> Path:
    """smollm2.gguf as safetensors, under the names of Hugging Face."""
    import sys

    sys.path.insert(0, str(RECIPES))
    try:
        from make_models import llama_tensors
    except ImportError:
        missing(f"{RECIPES}/make_models.py is not there")
    from safetensors.numpy import save_file

    path = folder / "smollm2.safetensors"
    save_file({name: value.copy() for name, value in llama_tensors(model_path("smollm2.gguf")).items()}, str(path))
    return path
