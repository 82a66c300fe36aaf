# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`./dev bench peers`: the rotation with real contestants on small products, and what its report computes."""
import json
import os
import subprocess
import sys

import pytest

from real import BUILD, ROOT, missing

SCRIPTS = ROOT / "benchmarks/peers"


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    """An environment with the peers that these tests have anyway: ONNX Runtime."""
    pytest.importorskip("onnxruntime")
    if not (BUILD / "bin/whit-run").exists():
        missing("whit-run is not built")
    work = tmp_path_factory.mktemp("peers")
    for folder in ("bin", "cache"):
        (work / folder).mkdir()
    python = work / "bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (work / "installed").touch()
    return work


def bench(work, *arguments):
    command = [sys.executable, SCRIPTS / "run.py", "--work", work, "--no-llama", "--threads=1", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "WHIT_BUILD": str(BUILD)})


def test_products_are_measured_in_turn(peers, tmp_path):
    # The last block of a column is not whole.
    found = tmp_path / "found.json"
    done = bench(peers, "--only=matmul", "--shapes=576x256", "--formats=int4_g128", "--cold-mib=1", "--rounds=2", f"--json={found}")
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr, done.stderr
    rows = {row["row"]: row for row in json.loads(found.read_text())["rows"]}
    assert set(rows) == {f"matmul 576 x 256 int4_g128 M={m}" for m in (1, 4, 8, 16, 64, 128, "1 cold")}
    for row in rows.values():
        assert {name: len(values) for name, values in row["values"].items()} == {"ORT accuracy 4": 2, "ORT accuracy 1": 2, "Whit": 2}
        assert all(value > 0 for values in row["values"].values() for value in values)
    assert "| matmul 576 x 256 int4_g128 M=128 | 1 |" in done.stdout


def test_a_contestant_that_fails_is_named_and_left_out(peers, tmp_path):
    found = tmp_path / "found.json"
    # No operator has blocks of 31 weights, and Whit's importer says the same.
    done = bench(peers, "--only=matmul", "--shapes=62x48", "--formats=int4_g31", "--cold-mib=1", "--rounds=1", f"--json={found}")
    assert done.returncode == 0, done.stderr
    assert "ORT accuracy 4 is left out of matmul 62x48" in done.stderr
    assert json.loads(found.read_text())["rows"] == []


def test_what_is_missing_is_said(peers, tmp_path):
    done = bench(peers, "--only=encoder", f"--models={tmp_path}")
    assert done.returncode == 2 and "minilm.onnx" in done.stderr
    done = bench(peers, "--only=decoder")
    assert done.returncode == 2 and "unknown workload decoder" in done.stderr


@pytest.fixture(scope="module")
def report():
    pytest.importorskip("numpy")
    sys.path.insert(0, str(SCRIPTS))
    try:
        import report
        import workloads
        yield report, workloads
    finally:
        sys.path.remove(str(SCRIPTS))
        for name in ("report", "run", "workloads", "contestant", "encoder", "generated", "language", "matmul"):
            sys.modules.pop(name, None)


def row_of(report, workload, name, values, threads=1, busy=False):
    module, workloads = report
    limits = workloads.Limits()
    limits.add({"threads": 1, "gops": {"f32": 100.0, "int8": 400.0, "amx": 0.0}, "gbps": {"1": 100.0, "1024": 10.0}})
    return module.Row({"workload": workload, "row": name, "threads": threads, "busy": busy, "values": values}, limits)


def test_ratios_take_the_best_round_of_the_best_peer(report):
    rate = row_of(report, "language", "64 tokens after 128", {"ORT GenAI int4": [90, 100], "OpenVINO int4": [80, 70], "Whit": [150, 200]})
    assert (rate.best_peer, rate.ratio()) == ("ORT GenAI int4", 2.0)
    time = row_of(report, "encoder", "MiniLM int8", {"ORT int8": [10, 8], "Whit": [4, 5]})
    assert (time.best_peer, time.ratio()) == ("ORT int8", 2.0)
    assert "**4** (4.5)" in report[0].table([time]) and "| 8 (9) |" in report[0].table([time])


def test_limits_are_bytes_or_operations(report):
    # 2 * 1024 * 1024 operations at 400e9 a second; 1024 * 1024 * 4.5 bits from the cache at 100e9, cold at 10e9 bytes a second.
    size = 1024 * 1024 * 4.5 / 8
    for name, seconds in (("M=1", size / 100e9), ("M=1 cold", size / 10e9), ("M=128", 128 * 2 * 1024 * 1024 / 400e9)):
        row = row_of(report, "matmul", f"matmul 1024 x 1024 int4_g32 {name}", {"Whit": [2e3 * seconds]})
        assert row.share_of_limit("Whit") == pytest.approx(0.5)
    # Numbers in f32 are held against the rate of f32.
    bytes_, floats = (row_of(report, "encoder", f"MiniLM {kind}", {"Whit": [1.0]}).least_seconds for kind in ("int8", "f32"))
    assert floats == pytest.approx(4 * bytes_)


def test_whit_is_held_beside_itself(report):
    rows = [row_of(report, "matmul", f"matmul 64 x 64 int4_g32 M={m}", {"Whit": [value]}) for m, value in ((1, 2.0), (4, 3.0), (8, 5.0))]
    rows += [row_of(report, "caches", f"attention to 8128 tokens, {kv}", {"Whit": [value]}) for kv, value in (("f16", 10), ("int8", 15))]
    rows += [row_of(report, "language", "64 tokens after 128", {"Whit": [value]}, threads, busy)
             for value, threads, busy in ((100, 1, False), (120, 2, True))]
    rows += [row_of(report, "formats", f"matmul 4096 x 4096 {name} M=128 (own)", {"Whit": [value]}) for name, value in (("int4_g32", 8.0), ("nf4", 10.0))]
    text = report[0].within(rows)
    for line in ("M = 4 to M = 1, time | 1 | 1.50", "M = 8 to M = 1, time | 1 | 2.50", "int8 to f16, speed | 1 | 1.50",
                 "2 threads beside a neighbour to one thread alone, speed | 2 | 1.20", "nf4 to int4_g32, M = 128, speed | 1 | 0.80"):
        assert line in text
    svg = report[0].picture([row_of(report, "encoder", "MiniLM int8", {"ORT int8": [8], "Whit": [4]})])
    assert "2.00x ORT int8" in svg


def test_other_workloads_of_the_page_are_kept(report, tmp_path):
    import run
    file = tmp_path / "peers.json"

    def of(workload, name, value):
        return {"workload": workload, "row": name, "threads": 1, "busy": False, "unit": "ms", "values": {"Whit": [value], "ORT int8": [8]}}
    both = {"facts": {"workloads": ["encoder", "matmul"], "date": "2026-01-01"}, "limits": {"1": {"gops": {"int8": 1.0}, "gbps": {"1": 1.0}}},
            "rows": [of("encoder", "MiniLM int8", 4), of("matmul", "matmul 64 x 64 int4_g32 M=1", 4)]}
    assert run.kept_runs(file, ["matmul"]) == []
    file.write_text(json.dumps({"runs": [both]}))
    kept = run.kept_runs(file, ["matmul"])
    assert [row["workload"] for row in kept[0]["rows"]] == kept[0]["facts"]["workloads"] == ["encoder"]
    assert run.kept_runs(file, ["encoder", "matmul"]) == []
    text = report[0].markdown([*kept, {**both, "facts": {"workloads": ["matmul"], "date": "2026-02-02"}, "rows": both["rows"][1:]}])
    assert text.count("| MiniLM int8 | 1 | ") == text.count("date: 2026-01-01") == text.count("date: 2026-02-02") == 1
