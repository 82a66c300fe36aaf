# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Tests that are a text file with a RUN line: dialects/, passes/, lib/ and tools/. Our tools and LLVM's are on the PATH.
# Parameters: -D build=FOLDER (default: build/ beside test/), -D llvm=PREFIX, -D python=PROGRAM (default: that of .venv).

import os
import pathlib
import shutil
import sys

import lit.formats

root = pathlib.Path(__file__).resolve().parent.parent
build = pathlib.Path(lit_config.params.get("build", root / "build")).resolve()
llvm = pathlib.Path(lit_config.params.get("llvm", "/usr/lib/llvm-22"))

config.name = "Whit"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "house", "python", "e2e", "fuzz"]
config.test_source_root = str(root / "test")
config.test_exec_root = str(build / "test")

config.environment["PATH"] = os.pathsep.join([str(build / "bin"), str(llvm / "bin"), config.environment["PATH"]])
# A variable captured in one CHECK-LABEL block cannot be used by accident in the next; a misspelt prefix is an error.
config.environment["FILECHECK_OPTS"] = "--enable-var-scope --allow-unused-prefixes=false --dump-input-filter=error"

venv_python = root / ".venv" / "bin" / "python"
python = lit_config.params.get("python", venv_python if venv_python.exists() else sys.executable)
config.substitutions.append(("%python", str(python)))
config.substitutions.append(("%build", str(build)))
config.substitutions.append(("%root", str(root)))

# `lit -D roundtrip=1` prints and parses the IR of every whit-opt run once more.
if lit_config.params.get("roundtrip"):
    config.substitutions.append((r"\bwhit-opt\b", "whit-opt --verify-roundtrip"))

# Tests that need a feature of this machine say so with REQUIRES: avx2, avx512f, avx512vnni; ptxas, NVIDIA's assembler.
if shutil.which("ptxas") or pathlib.Path("/usr/local/cuda/bin/ptxas").exists():
    config.available_features.add("ptxas")
try:
    flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
except (OSError, IndexError):
    flags = []
for name in ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8"):
    if name in flags:
        config.available_features.add(name.replace("_", ""))
