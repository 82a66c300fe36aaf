# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels of GPUs and registers: a schedule whose kernel does not fit is replaced by the next one, and those that ship stay within limits."""
import json
import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def product(path, k, n, rows="rows"):
    """A model of one matmul: [rows, k] by [k, n]."""
    weight = np.random.default_rng(4).normal(0, 0.05, (k, n)).astype(np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], name="up")], "product",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, k])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, n])], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def trials(tools, tmp_path, model, *flags):
    """The matmuls' kernels of all rounds, what the compiler warned of, and its remarks."""
    rows, remarks = tmp_path / "facts.jsonl", tmp_path / "remarks.txt"
    done = tools.run("whit-compile", model, "-o", tmp_path / "model.so", f"--facts={rows}", f"--explain={remarks}", "--quiet", *flags)
    kernels = [json.loads(line) for line in rows.read_text().splitlines()]
    return [kernel for kernel in kernels if kernel["matmuls"]], done.err, remarks.read_text()


def parts(kernels):
    """Kernels of one region by what they are for (few rows, many), in the order of the rounds."""
    found = {}
    for kernel in kernels:
        found.setdefault(kernel["name"].rsplit("_tiles")[-1], []).append(kernel)
    return found.values()


def test_a_spilling_schedule_is_replaced(tools, tmp_path):
    """With ever fewer registers: first nothing spills, then what does is replaced by what does not."""
    model = product(tmp_path / "m.onnx", 64, 4096)
    flags = ["--weights=int4_g32", "--activations=int8", "--target=gfx1100"]
    kernels, said, _ = trials(tools, tmp_path, model, *flags)
    assert all(kernel["round"] == 0 and kernel["is_final"] and kernel["spilled"] == 0 for kernel in kernels) and "spill" not in said
    most = max(kernel["registers"] for kernel in kernels)
    for limit in range(most - most % 8, most - 64, -8):
        kernels, said, remarks = trials(tools, tmp_path, model, f"--most-registers={limit}", *flags)
        assert all(kernel["registers"] <= limit for kernel in kernels)
        first, last = kernels[0], kernels[-1]
        assert (first["region"], first["matmuls"][0]["format"], first["matmuls"][0]["n"]) == ("up", "int4_g32", 4096)
        replaced = [part for part in parts(kernels) if part[0]["spilled"]]
        if not replaced or any(part[-1]["spilled"] for part in replaced):
            continue
        for part in replaced:
            assert part[0]["tile"] != part[-1]["tile"] and not part[0]["is_final"] and part[-1]["is_final"]
            before, after = ("blocks of {} rows x {} columns".format(*kernel["tile"]) for kernel in part[:2])
            assert any(f"{before}" in line and "spill" in line and line.index(before) < line.rindex(after) for line in remarks.splitlines())
        assert "want of registers" not in said and last["round"] >= 1
        return
    pytest.fail("no limit made a schedule spill for which another did not")


def test_where_all_schedules_spill_the_best_is_taken(tools, tmp_path):
    model = product(tmp_path / "m.onnx", 64, 512)
    kernels, said, _ = trials(tools, tmp_path, model, "--weights=int4_g32", "--activations=int8", "--target=gfx1100", "--most-registers=24", "--dim", "rows=64")
    (part,) = parts(kernels)
    assert len(part) > 2 and all(kernel["spilled"] for kernel in part)
    tiles = [tuple(kernel["tile"]) for kernel in part]
    assert len(set(tiles)) >= len(tiles) - 1, "a schedule was tried twice"
    assert part[-1]["spilled"] == min(kernel["spilled"] for kernel in part)
    assert f"moves {part[-1]['spilled']} bytes of each thread to memory" in said and f"{len(set(tiles))} schedules were tried" in said


@pytest.mark.parametrize("target", ["gfx90a", "gfx942", "gfx950"])
def test_loops_fit_into_the_caches_of_amd(tools, tmp_path, target):
    model = product(tmp_path / "m.onnx", 1024, 512)
    for activations in ("bf16", "int8"):
        kernels, said, _ = trials(tools, tmp_path, model, "--weights=int4_g128", f"--activations={activations}", f"--target={target}")
        for kernel in kernels:
            assert kernel["loop"] < 32 << 10 and kernel["stack"] == kernel["spills"] == 0, kernel
            assert kernel["copies"] == 0, f"accumulators are copied inside a loop: {kernel}"
            assert kernel["instructions"]["matrix"] > 0
        assert not said


def test_registers_of_sixteen_rows_on_hopper(tools, tmp_path):
    """What leaves a unit room for blocks of 384 threads."""
    if not os.environ.get("WHIT_PTXAS", shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")):
        pytest.skip("there is no ptxas")
    model = product(tmp_path / "m.onnx", 1024, 512)
    for activations in ("bf16", "int8"):
        kernels, _, _ = trials(tools, tmp_path, model, "--weights=int4_g128", f"--activations={activations}", "--target=sm_90a", "--dim", "rows=16")
        (kernel,) = kernels
        assert kernel["registers"] <= 168 and kernel["block"][0] <= 384 and kernel["spilled"] == 0, kernel


def test_k_is_cut_into_fewer_parts_where_all_tiles_spill(tools, tmp_path):
    """What a sum over parts of K needs registers for is the same in all tiles."""
    random = np.random.default_rng(4)
    weights = {"w": random.normal(0, 0.05, (1536, 384)).astype(np.float32), "b": random.normal(0, 1, 384).astype(np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["s"]), helper.make_node("Add", ["s", "r"], ["y"])]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1536]), helper.make_tensor_value_info("r", TensorProto.FLOAT, ["rows", 384])]
    graph = helper.make_graph(nodes, "residual", given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 384])],
                              [numpy_helper.from_array(value, name) for name, value in weights.items()])
    model = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), model)
    kernels, said, remarks = trials(tools, tmp_path, model, "--weights=int4_g128", "--activations=bf16", "--target=gfx1100", "--most-registers=240")
    eight = [kernel for kernel in kernels if kernel["splits"] == 8]
    assert len({tuple(kernel["tile"]) for kernel in eight if kernel["spilled"]}) == 2
    final = [kernel for kernel in kernels if kernel["is_final"]]
    assert len(final) == 2 and {kernel["splits"] for kernel in final} == {4}  # of few rows as well: a row has the same bits in both
    assert all(kernel["spilled"] == 0 for kernel in final) and "want of registers" not in said
    assert "in 8 splits spill" in remarks and "in 4 splits take their place" in remarks
