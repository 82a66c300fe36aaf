# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""whit-tune on input that is not what it should be: a fixed exit code, the line and the field by name, never a crash."""
import json
import re

import pytest

SMALL = ("--shapes", "48x32", "--formats", "f32:f32", "--rows", "1,5", "--samples", "2")


@pytest.fixture(scope="module")
def measured(tools, tmp_path_factory):
    """Tasks and rows of a matmul that is measured in no time."""
    folder = tmp_path_factory.mktemp("tune")
    tools.run("whit-tune", "gen", *SMALL, "-o", folder / "tasks")
    tools.run("whit-tune", "run", folder / "tasks", "--database", folder / "rows", "--hot", "--quiet")
    return folder


def refused(done, code: int, *words: str):
    assert done.code == code, done.err
    assert "Stack dump" not in done.err and "terminate called" not in done.err
    assert re.match(r"error: ", done.err), done.err
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda row: "{" + row, ("no JSON",)),
        (lambda row: row[: len(row) // 2], ("no JSON",)),
        (lambda row: row.replace("whit-tune-row/1", "whit-tune-row/2"), ("schema is 'whit-tune-row/2'", "expected 'whit-tune-row/1'")),
        (lambda row: "[]", ("schema is ''",)),
        (lambda row: row.replace('"format":"f32"', '"format":"f31"'), ("f31",)),
        (lambda row: row.replace('"n":48', '"n":-48'), ("'op.n'",)),
        (lambda row: row.replace('"n":48', '"n":1e30'), ("'op.n'",)),
        (lambda row: row.replace('"columns":', '"columms":'), ("'schedule.columns'",)),
        (lambda row: row.replace('"min":', '"max":', 1), ("'nanoseconds.min'",)),
        (lambda row: re.sub('"panels":.', '"panels":9', row), ("'key' is",)),
        (lambda row: "\x00\xff" + row, ("no JSON",)),
    ],
)
def test_broken_rows_are_named(tools, measured, tmp_path, change, words):
    rows = (measured / "rows").read_text().splitlines()
    changed = change(rows[1])
    assert changed != rows[1]
    path = tmp_path / "rows"
    path.write_bytes("\n".join([rows[0], changed, *rows[2:]]).encode("latin1"))
    for command in (("train", path), ("eval", path), ("run", measured / "tasks", "--database", path)):
        refused(tools.call("whit-tune", *command), 1, f"{path}:2:", *words)


def test_other_mistakes(tools, measured, tmp_path):
    call = lambda *arguments: tools.call("whit-tune", *arguments)
    refused(call(), 2, "help:")
    refused(call("guess"), 2)
    refused(call("gen", "--shapes", "48", "--formats", "f32:f32"), 2, "'48' is no shape")
    refused(call("gen", "--shapes", "48x32", "--formats", "f32"), 2, "names no activations")
    refused(call("gen", "--shapes", "48x32", "--formats", "nf4_g32:int8"), 2, "take f32 activations")
    refused(call("gen", "--target", "pentium9", *SMALL), 2, "pentium9")
    refused(call("search", "--agent", "luck", "--replay", measured / "rows"), 2, "there is no agent 'luck'")
    refused(call("search"), 2, "nothing to search for")
    refused(call("train", tmp_path / "none"), 4, "cannot read")
    refused(call("run", measured / "rows", "--database", tmp_path / "new"), 1, "expected 'whit-tune-task/1'")
    refused(call("run", measured / "tasks", "--database", tmp_path / "no" / "folder"), 4, "cannot write")
    refused(call("eval", measured / "rows"), 1, "all its schedules measured")
    (tmp_path / "model").write_text("{}\n{}")
    refused(call("explain", "--shapes", "48x32", "--formats", "f32:f32", "--model", tmp_path / "model"), 1, "schema")


def test_rows_of_two_machines_make_no_model(tools, measured, tmp_path):
    packed = tools.run("whit-tune", "pack", measured / "rows").out.splitlines()
    assert packed
    line = json.loads(packed[0])
    line["target"]["cpu"] = "another"
    (tmp_path / "rows").write_text("\n".join([*packed, json.dumps(line)]))
    refused(tools.call("whit-tune", "train", tmp_path / "rows"), 1, "a model is of one machine")


def test_a_pack_says_what_its_rows_say(tools, measured, tmp_path):
    tools.run("whit-tune", "pack", measured / "rows", "-o", tmp_path / "pack")
    rows = [json.loads(row) for row in (measured / "rows").read_text().splitlines()]
    packed = [json.loads(line) for line in (tmp_path / "pack").read_text().splitlines()]
    # One row of x would come from memory, which was left out.
    assert [line["op"]["rows"] for line in packed] == [5]
    times = {(s["columns"], s["rows"], s["panels"]): r["nanoseconds"]["min"] for r in rows if r["op"]["rows"] == 5 for s in [r["schedule"]]}
    assert {tuple(entry[:3]): entry[5] for entry in packed[0]["schedules"]} == times
    models = [tools.run("whit-tune", "train", *(tmp_path / "pack" for _ in range(count))).out for count in (1, 1)]
    assert models[0] == models[1]


def test_only_what_runs_here_is_measured(tools, measured, tmp_path):
    for target, why in (("diamondrapids", "this machine lacks"), ("sm_90a", "kernels of GPUs are not measured here")):
        refused(tools.call("whit-tune", "probe", "--target", target), 3, why)
        refused(tools.call("whit-tune", "run", measured / "tasks", "--target", target, "--database", tmp_path / "rows"), 3, why)


def test_explains_what_it_chooses(tools):
    out = tools.run("whit-tune", "explain", "--target", "x86-64-v4", "--shapes", "4096x1024", "--formats", "int4_g32:int8", "--rows", "128").out
    assert re.search(r"chosen +\d+ columns, block of \d+ rows x \d+ panels", out), out
    assert re.search(r"runner-up +\d+\.\d % slower: \w+ \d+ -> \d+", out), out
    assert "binds" in out and "learned" not in out
