# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The bundle for machines with GPUs, end to end in the simulator: written, checked by run.sh without any Python package, and reported."""
import importlib.util
import json
import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from real import BUILD, ROOT, missing

SCRIPTS = ROOT / "benchmarks/gpu"


def script(name):
    """A module of the benchmarks, which are no package."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SCRIPTS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    if not (BUILD / "bin/whit-compile").exists():
        missing("whit-compile is not built")
    packed = tmp_path_factory.mktemp("bundle") / "bundle.tar.xz"
    command = [sys.executable, SCRIPTS / "bundle.py", "--tiny", "--targets=sm_80", "--formats=int4_g32,nf4", "-o", packed]
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, "WHIT_BUILD": str(BUILD)}, timeout=300)
    return packed


@pytest.fixture(scope="module")
def unpacked(bundle):
    with tarfile.open(bundle) as file:
        file.extractall(bundle.parent)
    return bundle.parent / "whit-gpu-bundle"


def run(where, tmp_path, *flags, shell=SCRIPTS / "run.sh"):
    """(exit status, results) of run.sh, with a Python that has nothing but its own library."""
    python, results = tmp_path / "python", tmp_path / "results.json"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    python.chmod(0o755)
    command = [shell, *([where] if where else []), "--device=sim:sm_80", f"--whit-run={BUILD / 'bin/whit-run'}", f"--json={results}", *flags]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env={**os.environ, "PYTHON": str(python)}, timeout=300)
    assert results.exists(), done.stderr
    return done.returncode, json.loads(results.read_text())


@pytest.fixture(scope="module")
def results(bundle, tmp_path_factory):
    code, found = run(bundle, tmp_path_factory.mktemp("run"))
    assert code == 0, found
    return found


def test_every_kernel_is_checked(results):
    checks = {case["name"]: {(c["check"], c["rows"]): c for c in case["checks"]} for case in results["cases"]}
    assert set(checks) == {"small-int4_g32-bf16", "small-nf4-bf16", "timed-int4_g32"}
    assert all(c["outcome"] == "ok" for case in checks.values() for c in case.values())
    assert set(checks["timed-int4_g32"]) == {("random", 1), ("random", 9), ("exact", 1), ("exact", 9)}
    assert checks["timed-int4_g32"]["exact", 9]["max_error"] == 0
    assert results["sanitizer"] == results["baselines"] == []
    assert results["product"] == "simulated sm_80"


def test_a_simulator_has_no_times(results):
    rows = [row for case in results["cases"] for row in case["times"]]
    assert [row["rows"] for row in rows] == [1, 9]
    assert all(row["device_us_median"] is None and row["ms_min"] is None and row["graph"] for row in rows)


def test_wrong_results_are_found_and_not_timed(unpacked, tmp_path):
    """One number of a reference is off by more than its bound: its case is wrong for as many rows as have it, the others are right."""
    path = unpacked / "data/timed-int4_g32.random.out.npz"
    with np.load(path) as file:
        kept, arrays = path.read_bytes(), dict(file)
    arrays["y"][4, 7] += 3 * arrays["y.bound"][4, 7]
    np.savez(path, **arrays)
    code, found = run(None, tmp_path, "--only=timed-*", "--only=small-nf4*", shell=unpacked / "run.sh")
    path.write_bytes(kept)
    assert code == 1
    case = next(c for c in found["cases"] if c["name"] == "timed-int4_g32")
    assert [(c["check"], c["rows"]) for c in case["checks"] if c["outcome"] != "ok"] == [("random", 9)]
    wrong = next(c for c in case["checks"] if c["outcome"] != "ok")
    assert wrong["outcome"] == "wrong" and "worst at [4, 7]" in wrong["message"]
    assert case["times"] == []
    assert {c["name"] for c in found["cases"]} == {"timed-int4_g32", "small-nf4-bf16"}


@pytest.mark.parametrize("device, said", [("sim:sm_90a", "compile it with --target=sm_90a"), ("cuda:9999", "error: "), ("gpu", "it must be cpu, cuda:N")])
def test_devices_that_there_are_not(unpacked, tmp_path, device, said):
    """Said once, not for each kernel, and no results are left behind. (Where there is a driver, it has no device of that number.)"""
    results = tmp_path / "results.json"
    command = [unpacked / "run.sh", f"--device={device}", f"--whit-run={BUILD / 'bin/whit-run'}", f"--json={results}"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("error:") == 1, done.stderr
    assert not results.exists()


def test_a_damaged_artifact_is_a_failure(unpacked, tmp_path):
    path = unpacked / "artifacts/small-nf4-bf16.safetensors"
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    code, found = run(unpacked, tmp_path, "--only=small-nf4*")
    path.write_bytes(kept)
    assert code == 1
    assert {c["outcome"] for c in found["cases"][0]["checks"]} == {"failed"}
    assert "damaged" in found["cases"][0]["checks"][0]["message"]


def test_the_bundle_needs_no_llvm(unpacked):
    needs = subprocess.run(["ldd", str(unpacked / "bin/whit-run")], capture_output=True, text=True, check=True).stdout
    assert "LLVM" not in needs and "MLIR" not in needs
    assert not list(unpacked.rglob("*LLVM*")) and list((unpacked / "lib").glob("libstdc++*"))
    about = json.loads((unpacked / "cases.json").read_text())
    assert {"h100", "h200", "a100", "l4", "rtx4090"} <= {m["name"] for m in about["machines"]}
    facts = about["cases"][0]["facts"]["sm_80"]
    assert facts and all(len(kernel["tile"]) == 2 and kernel["instructions"]["matrix"] > 0 for kernel in facts)


def test_products_have_datasheets(unpacked):
    machines, machine_of = json.loads((unpacked / "cases.json").read_text())["machines"], script("run").machine_of
    known = {"NVIDIA H100 80GB HBM3": "h100", "NVIDIA H200": "h200", "NVIDIA A100-SXM4-80GB": "a100", "NVIDIA L4": "l4",
             "NVIDIA GeForce RTX 4090": "rtx4090", "AMD Instinct MI300X": "mi300x", "AMD Radeon RX 7900 XTX": "rx7900"}
    assert {product: machine_of(product, machines)["name"] for product in known} == known
    assert not any(machine_of(other, machines) for other in ("NVIDIA L40S", "NVIDIA H100 PCIe", "NVIDIA A100-SXM4-40GB", "simulated sm_80", ""))


def measured(results):
    """What a card would have left of the same cases: an H100 on which the kernel of 4 bits takes 4 us, and cuBLAS 14."""
    found = json.loads(json.dumps(results))
    found.update(device="cuda:0", product="NVIDIA H100 80GB HBM3", machine={"name": "h100", "gbs": 3350.0, "f16_tflops": 989.4})
    found["system"].update(utc="2030-01-02T03:04:05Z", nvidia_smi=[{"driver_version": "999.1"}])
    case = next(c for c in found["cases"] if c["times"])
    case.update(format="int4_g128", k=4096, n=4096, weight_bytes=8650752)
    for row, us, m in zip(case["times"], (4.0, 5.0), (1, 16)):
        row.update(rows=m, device_us_median=us, device_us_min=us)
        script("run").add_shares(case, row, found["machine"])
    found["baselines"] = [{"library": "torch f16 (cuBLAS)", "k": 4096, "n": 4096, "rows": m, "outcome": "ok", "us_median": 14.0} for m in (1, 16)]
    found["cases"].append({"name": "decoder", "kind": "model", "format": "int4_g32", "activations": "f32", "facts": {}, "checks": [], "times": [
        {"time": "64 tokens", "rows": 1, "outcome": "ok", "decode_tps": 900.0, "kernels": 33, "graph": True}]})
    found["baselines"].append({"library": "torch f16, CUDA graph", "model": "decoder", "outcome": "ok", "decode_tps": 400.0})
    found["sanitizer"] = [{"case": "small", "tool": "memcheck", "outcome": "ok"}]
    return found


def report(*arguments):
    return subprocess.run([sys.executable, str(SCRIPTS / "report.py"), *map(str, arguments)], capture_output=True, text=True, check=False)


def test_results_become_a_page_and_rows(results, tmp_path):
    page, rows, given = tmp_path / "gpu.md", tmp_path / "rows.jsonl", tmp_path / "results.json"
    given.write_text(json.dumps(measured(results)))
    done = report(given, "--write", "--page", page, "--rows", rows)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "## NVIDIA H100 80GB HBM3" in text and "2030-01-02" in text and "driver 999.1" in text
    assert "Nothing has run" not in text and "Checks: 10 of 10 right" in text and "memcheck: 1 ok" in text
    assert "| int4_g128, M = 1 to 16, times as fast as cuBLAS f16: at least 3.2 | 2.80 to 3.50 |" in text
    # 8650752 bytes of weights, and 16 rows of 2 * 4096 numbers of 2 bytes, in 5 us: 1782 GB/s of 3350.
    assert "| int4_g128, M = 1 to 16, share of the memory's rate: at least 80 % | 53 % to 65 % |" in text
    assert "at least 2 | 2.25 (two layers and the head) |" in text and "| decoder | 64 tokens |  | 900 | 400 | 33 | yes |" in text
    assert "| `int4_g128` | 4.00 |  |  |  | 5.00 |" in text
    assert "M = 128, times as fast as cuBLAS f16: at least 1.0 | open |" in text
    assert [path.name for path in (tmp_path / "gpu").iterdir()] == ["nvidia-h100-80gb-hbm3-2030-01-02.json"]
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [(r["m"], r["time"]["median_us"], r["outcome"]) for r in lines] == [(1, 4.0, "ok"), (16, 5.0, "ok")]
    assert lines[0]["key"] != lines[1]["key"] and lines[0]["target"]["machine"] == "h100" and lines[0]["static"][0]["name"]


def test_simulated_results_are_not_kept(results, tmp_path):
    given = tmp_path / "results.json"
    given.write_text(json.dumps(results))
    done = report(given, "--write", "--page", tmp_path / "gpu.md")
    assert done.returncode != 0 and "they are not kept" in done.stderr
    assert "no times" in report(given).stdout


def test_the_page_is_what_was_measured():
    assert report().stdout == (ROOT / "docs/performance/gpu.md").read_text(), "run benchmarks/gpu/report.py --write"
