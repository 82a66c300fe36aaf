# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A new pass is two source files and a test: nothing else is edited. Done here on a copy of the tree.

Only what the new pass changes is compiled; the rest comes from the build folder (WHIT_BUILD, or build/).
"""

import json
import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

from tree import ROOT, files

BUILD = pathlib.Path(os.environ.get("WHIT_BUILD", ROOT / "build")).resolve()

TABLEGEN = """\
include "mlir/Pass/PassBase.td"
def CountWeightsPass : Pass<"whit-count-weights", "::mlir::ModuleOp"> {
  let summary = "Write the number of weights on the module";
  let options = [Option<"label", "label", "std::string", "", "name of the attribute">];
}
"""

SOURCE = """\
#include "Whit/Whit.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
namespace mlir::whit {
#define GEN_PASS_DECL_COUNTWEIGHTSPASS
#define GEN_PASS_DEF_COUNTWEIGHTSPASS
#include "Fuse/CountWeights.h.inc"
namespace {
struct CountWeightsPass : impl::CountWeightsPassBase<CountWeightsPass> {
  using Base::Base;
  void runOnOperation() override {
    auto weights = getOperation().getOps<WeightOp>();
    int64_t count = std::distance(weights.begin(), weights.end());
    getOperation()->setAttr(label, IntegerAttr::get(IntegerType::get(&getContext(), 64), count));
  }
};
} // namespace
} // namespace mlir::whit
"""


@pytest.fixture(scope="module")
def commands():
    """The compile command of each source in the build folder."""
    try:
        found = json.loads((BUILD / "compile_commands.json").read_text())
    except OSError:
        pytest.skip(f"{BUILD} is not built")
    if not (BUILD / "bin" / "whit-opt").exists():
        pytest.skip("whit-opt is not built")
    return {pathlib.Path(entry["file"]).as_posix(): entry for entry in found}


def compile_like(entry, source, output, first_include):
    """Compiles `source` as `entry` was, looking into `first_include` before all other folders."""
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = str(output)
    words[words.index("-c") + 1] = str(source)
    first = next(i for i, word in enumerate(words) if word.startswith("-I"))
    words.insert(first, f"-I{first_include}")
    subprocess.run(words, cwd=entry["directory"], check=True)


def test_a_new_pass_edits_nothing(tmp_path, commands):
    copy, build = tmp_path / "whit", tmp_path / "build"
    for path in files():
        if path.parts[0] not in ("docs", "test"):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, copy / path)
    (copy / "test").mkdir()
    (copy / "test" / "CMakeLists.txt").touch()

    (copy / "passes" / "Fuse").mkdir(exist_ok=True)
    (copy / "passes" / "Fuse" / "CountWeights.td").write_text(TABLEGEN)
    (copy / "passes" / "Fuse" / "CountWeights.cpp").write_text(SOURCE)

    subprocess.run(["cmake", "-S", copy, "-B", build, "-G", "Ninja"], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", build, "WhitPassesGenerated"], check=True, capture_output=True)
    assert "CountWeights" in (build / "compile_commands.json").read_text(), "the new source is not part of the build"

    like = commands[(BUILD / "passes" / "Register.cpp").as_posix()]
    compile_like(like, copy / "passes" / "Fuse" / "CountWeights.cpp", tmp_path / "CountWeights.o", build / "passes")
    compile_like(like, build / "passes" / "Register.cpp", tmp_path / "Register.o", build / "passes")
    link = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", "-s", "bin/whit-opt"], check=True, capture_output=True, text=True)
    words = shlex.split(link.stdout.strip().removeprefix(": && ").removesuffix(" && :"))
    words[words.index("-o") + 1] = str(tmp_path / "whit-opt")
    # A program's own functions are found before those of its libraries: this Register.cpp stands in for the library's.
    words[words.index("-o") : words.index("-o")] = [str(tmp_path / "CountWeights.o"), str(tmp_path / "Register.o")]
    subprocess.run(words, cwd=BUILD, check=True)

    done = subprocess.run(
        [tmp_path / "whit-opt", "--whit-count-weights=label=test.weights"], input="module {}", capture_output=True, text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(BUILD / "lib")},
    )
    assert done.returncode == 0, done.stderr
    assert "test.weights = 0" in done.stdout
