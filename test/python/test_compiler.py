# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How the package reaches the compiler: flags, where it is looked for, and what its exit codes become."""
import json
import shlex
import stat

import pytest

from whit import compiler, errors


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """fake(script) puts a shell script in the place of whit-compile."""

    def make(script: str) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        tool = tmp_path / "bin/whit-compile"
        tool.write_text("#!/bin/sh\n" + script)
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("WHIT_BUILD", str(tmp_path))
    return make


def test_flags():
    options = {"target": ["x86-64-v3", "host"], "activations": "int8", "explain": True, "embed_weights": False, "weights": None,
               "dim": {"batch": 1, "length": "1..8"}, "context": 4096}
    assert compiler.flags_of(options) == ["--target=x86-64-v3", "--target=host", "--activations=int8", "--explain", "--dim", "batch=1",
                                          "--dim", "length=1..8", "--context=4096"]


def test_missing_tool_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("WHIT_BUILD", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(errors.FileError, match="whit-nothing was not found in .*build it with"):
        compiler.find_tool("whit-nothing")


def test_lines_are_reported_and_arguments_arrive(fake, tmp_path):
    fake('echo "[1/2] import"; echo "$@"')
    lines = []
    compiler.run_compiler(tmp_path / "m.onnx", tmp_path / "m.so", {"context": 8}, lines.append)
    assert lines == ["[1/2] import", f"{tmp_path}/m.onnx -o {tmp_path}/m.so --diagnostics=json --context=8"]


def say(**fields) -> str:
    return f"echo {shlex.quote(json.dumps({'severity': 'error', **fields}))} >&2\n"


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 7, 8, 70])
def test_exit_codes_become_classes(fake, tmp_path, code):
    fake(f"echo '[1/2] import'\n{say(message='it broke', file='m.onnx', tensor='w', help='mend it')}exit {code}")
    with pytest.raises(errors.BY_EXIT_CODE[code], match="^m.onnx: 'w': it broke; mend it$") as caught:
        compiler.run_compiler(tmp_path / "m.onnx", tmp_path / "m.so", {})
    assert caught.value.exit_code == code


def test_text_without_diagnostics_is_kept(fake, tmp_path):
    fake("echo 'something else {' >&2; echo '{\"a\": 1'; exit 4")
    with pytest.raises(errors.FileError, match="something else"):
        compiler.run_compiler(tmp_path / "m.onnx", tmp_path / "m.so", {})


def test_unsupported_nodes_are_listed(fake, tmp_path):
    fake(say(message="operator is not known", op="Foo", nodes=["/a", "/b", "/c", "/d"], node="/a", file="m.onnx")
         + say(message="attribute 'x' is 1; only 0 is supported", op="Bar", nodes=["/e"]) + say(severity="warning", message="odd")
         + "exit 3")
    with pytest.raises(errors.UnsupportedError) as caught:
        compiler.run_compiler(tmp_path / "m.onnx", tmp_path / "m.so", {})
    assert caught.value.nodes == ["/a", "/b", "/c", "/d", "/e"]
    assert caught.value.reasons == ["m.onnx: '/a', '/b', '/c' and 1 more (Foo): operator is not known",
                                    "'/e' (Bar): attribute 'x' is 1; only 0 is supported"]


def test_a_crash_is_a_bug(fake, tmp_path):
    fake("kill -SEGV $$")
    with pytest.raises(errors.InternalError, match="ended by signal 11; command: .*whit-compile"):
        compiler.run_compiler(tmp_path / "m.onnx", tmp_path / "m.so", {})


def test_wrong_arguments():
    with pytest.raises(errors.UsageError, match="model is a int"):
        compiler.compile(3)


def test_quantizing_keywords_become_flags(fake, tmp_path):
    """The tool fails on purpose: what is looked at is what it was given."""
    fake(f'echo "$@" >{tmp_path}/arguments; exit 1')
    with pytest.raises(errors.InvalidInputError):
        compiler.compile(tmp_path / "m.onnx", output=tmp_path / "m.so", weights="int4_g32", quantizer="nearest",
                         format_map={"*head*": "int8_channel", "a": "f16"}, keep=["*norm*", "b"], report=tmp_path / "r.html", context=8)
    given = (tmp_path / "arguments").read_text().split()
    assert given[given.index("--weights=int4_g32"):] == [
        "--weights=int4_g32", "--quantizer=nearest", "--format-map=*head*=int8_channel", "--format-map=a=f16", "--keep=*norm*", "--keep=b",
        f"--report={tmp_path}/r.html", "--context=8"]
