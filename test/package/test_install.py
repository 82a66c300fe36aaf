# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`cmake --install`, and the two examples that are built against what it put there."""
import shutil
import subprocess

import pytest
from command import run
from real import BUILD, ROOT


@pytest.fixture(scope="module")
def plugin(prefix, build):
    clang = shutil.which("clang++-22") or shutil.which("clang++")
    return build("pass-plugin", prefix, *([f"-DCMAKE_CXX_COMPILER={clang}"] if clang else [])) / "FitWeights.so"


def test_a_prefix_stands_alone(prefix, environment):
    """Nothing there points at the source tree or the build folder, and the tools start."""
    for path in prefix.rglob("*"):
        if path.is_file() and path.suffix in (".cmake", ".pc", ".h", ".inc", ".td"):
            words = path.read_text()
            assert str(ROOT) not in words and str(BUILD) not in words, path
    for tool in ("whit-opt", "whit-compile", "whit-check", "whit-run"):
        assert "whit" in run(prefix / "bin" / tool, "--help", env=environment).lower()
    dynamic = run("readelf", "-d", prefix / "bin/whit-opt", prefix / "lib/libwhit_compiler.so")
    assert str(BUILD) not in dynamic
    run("readelf", "-d", prefix / "bin/whit-run")


def test_the_runtime_needs_no_llvm(install, build, environment):
    prefix = install("runtime")
    files = [p.relative_to(prefix).as_posix() for p in prefix.rglob("*") if p.is_file()]
    assert "bin/whit-run" in files and "lib/libwhit_runtime.so" in files and "include/whit/Runtime.h" in files
    assert not [f for f in files if "compiler" in f.lower() and f != "include/whit/Compiler.h"], files
    needed = run("ldd", prefix / "lib/libwhit_runtime.so") + run("ldd", prefix / "bin/whit-run")
    assert "LLVM" not in needed and "MLIR" not in needed
    # Asking for what is not installed says so.
    done = subprocess.run(["cmake", "-S", str(ROOT / "examples/pass-plugin"), "-B", str(prefix / "build"), "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}"],
                          capture_output=True, text=True, env=environment)
    assert done.returncode and "install its component 'compiler' too" in " ".join(done.stderr.split())


def test_a_program_in_c(prefix, build, float_model, environment, tmp_path):
    program = build("c-runtime", prefix) / "run_once"
    artifact = tmp_path / "model.so"
    run(prefix / "bin/whit-compile", float_model, "-o", artifact, "--quiet", env=environment)
    first, = run(program, artifact, "rows=3", env=environment).splitlines()
    assert first.startswith("y [3, 16] = ")
    assert run(program, artifact, env=environment).startswith("y [1, 16] = " + first.split(" = ")[1].removesuffix(" ..."))
    assert "'x' is -4" in run(program, artifact, "rows=-4", code=1, env=environment)
    # The same through pkg-config and nothing else.
    flags = run("pkg-config", "--cflags", "--libs", "whit-runtime", env={**environment, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}).split()
    source = ROOT / "examples/c-runtime/run_once.c"
    run("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", source, *flags, f"-Wl,-rpath,{prefix}/lib", "-o", tmp_path / "again")
    assert run(tmp_path / "again", artifact, "rows=3", env=environment).strip() == first


def test_a_pass_plugin(prefix, plugin, environment):
    """The plugin's casts to operations and attributes of `whit` work: it shares them with the tool that loads it."""
    def fit(kilobytes, code=0):
        return run(prefix / "bin/whit-opt", f"--load-pass-plugin={plugin}", f"--pass-pipeline=builtin.module(fit-weights{{kilobytes={kilobytes}}})",
                   ROOT / "examples/pass-plugin/layers.mlir", code=code, env=environment)

    assert fit(20).count("#whit.format<int4_g32>") == 0
    some = fit(8)
    assert "whit.weight @large : !whit.tensor<64x64xf32, #whit.format<int4_g32>>" in some
    assert "whit.weight @small : !whit.tensor<16x64xf32, #whit.format<f32>>" in some
    assert "error: weights need 2880 bytes although all are int4_g32" in fit(1, code=1)


def test_a_plugin_between_two_stages(prefix, plugin, float_model, environment, tmp_path):
    """A model stopped after one stage, changed by the plugin, and compiled on from there."""
    shutil.copy(float_model, tmp_path)
    tools = prefix / "bin"
    run(tools / "whit-compile", "model.onnx", "--stop-after=raised", "-o", "raised.mlir", "--quiet", cwd=tmp_path, env=environment)
    run(tools / "whit-opt", f"--load-pass-plugin={plugin}", "--pass-pipeline=builtin.module(fit-weights{kilobytes=8})", "raised.mlir", "-o",
        "fitted.mlir", cwd=tmp_path, env=environment)
    run(tools / "whit-compile", "fitted.mlir", "--start-from=raised", "-o", "model.so", "--quiet", cwd=tmp_path, env=environment)
    manifest = run(tools / "whit-run", "--inspect", "model.so", cwd=tmp_path, env=environment)
    assert "int4_g32" in manifest
    assert "y" in run(tools / "whit-run", "model.so", "--input", "x=ones", "--dim", "rows=2", cwd=tmp_path, env=environment)
