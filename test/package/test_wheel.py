# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`pip install .`: the wheel in an environment of its own. Built without the compiler, which takes minutes; that part is looked at
in the files that the wheel's component installs from the build folder. `./dev test --long` builds the whole."""
import os
import shutil
import sys
import time
import zipfile

import numpy as np
import pytest
from command import run
from ledger import record
from real import BUILD, ROOT, missing


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, environment):
    pytest.importorskip("scikit_build_core")
    folder = tmp_path_factory.mktemp("wheel")
    # The build folder stays: later runs compile what has changed.
    run(sys.executable, "-m", "pip", "wheel", ROOT, "--no-build-isolation", "--no-deps", "-w", folder, "--config-settings", f"build-dir={BUILD}/wheel-runtime",
        env={**environment, "WHIT_COMPILER": "OFF"})
    return next(folder.glob("whit-*.whl"))


def test_what_a_wheel_holds(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "whit/__init__.py" in names and "whit/bin/whit-run" in names
    assert len([n for n in names if n.startswith("whit/_runtime")]) == 1
    assert not [n for n in names if n.endswith((".cpp", ".h", ".pyc")) or "nanobind" in n or "scikit" in n], names
    assert wheel.stat().st_size < 3 << 20


def test_a_wheel_is_made_by_the_compiler_of_the_build_folder(wheel, environment):
    """Not by the one that Python was built with, which scikit-build-core would take."""
    if "CXX" in environment:
        pytest.skip("CXX asks for a compiler")

    def compiler(folder):
        return next(line for line in (folder / "CMakeCache.txt").read_text().splitlines() if line.startswith("CMAKE_CXX_COMPILER:"))

    assert compiler(BUILD / "wheel-runtime").split("=")[1] == compiler(BUILD).split("=")[1]


def test_a_fresh_environment(wheel, float_model, environment, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    python = tmp_path / "env/bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--disable-pip-version-check", wheel, env=environment)
    # The wheel has no compiler: the one on PATH is found.
    environment = {**environment, "PATH": f"{BUILD / 'bin'}:{environment['PATH']}"}
    whit = tmp_path / "env/bin/whit"
    run(whit, "compile", float_model, "-o", tmp_path / "model.so", "--quiet", env=environment, cwd=tmp_path)
    assert "y " in run(whit, "run", "model.so", "--input", "x=ones", "--dim", "rows=2", env=environment, cwd=tmp_path)
    np.save(tmp_path / "x.npy", np.ones((2, 64), np.float32))
    code = ("import sys, numpy, whit; assert sys.prefix in whit.__file__; "
            "print(whit.load('model.so')(x=numpy.load('x.npy'))['y'].shape, whit.compile(sys.argv[1])(x=numpy.load('x.npy'))['y'].shape)")
    assert run(python, "-c", code, float_model, env=environment, cwd=tmp_path).strip() == "(2, 16) (2, 16)"


def test_a_wheel_may_hold_the_compiler(install, float_model, environment, tmp_path):
    """The component `python` of the build folder, which has the compiler: its tools find their library from where they are."""
    if "WHIT_PYTHON:BOOL=ON" not in (BUILD / "CMakeCache.txt").read_text():
        missing("the build folder is configured without WHIT_PYTHON")
    package = install("python") / "whit"
    assert not [p for p in package.rglob("*") if p.is_symlink()], "a wheel cannot hold links"
    assert shutil.which("whit-compile", path=str(package / "bin"))
    run(package / "bin/whit-compile", float_model, "-o", tmp_path / "model.so", "--quiet", env=environment)
    assert f"=> {package}/" in run("ldd", package / "bin/whit-compile", env=environment)


@pytest.mark.skipif("WHIT_LONG" not in os.environ, reason="compiles all of Whit; ./dev test --long runs it")
def test_the_whole_package_from_a_clone(float_model, environment, tmp_path):
    """What README says, word for word, in a fresh clone with an environment of its own; then a model, with no repository in sight."""
    import onnx

    clone, env, start = BUILD / "clone", tmp_path / "env", time.monotonic()
    # Always the same place, where ccache knows what it compiled before.
    shutil.rmtree(clone, ignore_errors=True)
    run("git", "clone", "-q", ROOT, clone)
    run(sys.executable, "-m", "venv", env)
    run(env / "bin/pip", "install", "--disable-pip-version-check", ".", cwd=clone,
        env={**environment, "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("WHIT_JOBS", str(os.cpu_count()))})
    seconds = time.monotonic() - start
    shutil.rmtree(clone)
    environment = {**environment, "PATH": f"{env}/bin:/usr/bin:/bin"}
    rows = np.random.default_rng(2).integers(-4, 5, (3, 64)).astype(np.float32)
    large, small = (onnx.numpy_helper.to_array(t).astype(np.float64) for t in onnx.load(float_model).graph.initializer)
    np.savez(tmp_path / "io.npz", x=rows, y=rows @ large @ small)
    shutil.copy(float_model, tmp_path / "copy.onnx")
    code = ("import numpy, whit; io = numpy.load('io.npz'); y = whit.compile('copy.onnx')(x=io['x'])['y']; "
            "print(whit.__file__, abs(y - io['y']).max() / abs(io['y']).max())")
    where, error = run("python", "-c", code, env=environment, cwd=tmp_path).split()
    # Two sums of 64 products each, in f32.
    assert where.startswith(str(env)) and float(error) < 128 * 2**-24
    run("whit", "compile", "copy.onnx", "-o", "model.so", "--weights=int4_g32", "--quiet", env=environment, cwd=tmp_path)
    assert "y " in run("whit", "run", "model.so", "--input", "x=ones", "--dim", "rows=2", env=environment, cwd=tmp_path)
    size = sum(f.stat().st_size for f in (env / "lib").glob("python*/site-packages/whit/**/*") if f.is_file())
    record("pip install . in a clone", seconds, f"a package of {size / 1e6:.1f} MB; a model compiled and run", 0)
