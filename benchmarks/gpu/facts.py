# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles matmuls under schedules drawn at random, and writes what their kernels came to: rows for the static heads of the cost model.

usage: python benchmarks/gpu/facts.py -o rows.jsonl [--targets sm_90a,gfx942] [--seconds 600] [--seed 1] [--jobs 1]
       python benchmarks/gpu/facts.py --pack rows.jsonl [more.jsonl ...] -o lib/CostModel/models/gpu.rows

No card is needed: what is learned are registers, spills, shared memory and bytes of code. One compilation has a matmul of every shape, with
weights in one format; schedules are written into the module before the stage that would choose them. --pack drops what stands twice and
writes a line for each kernel:

  TARGET FORMAT PRODUCTS N K ROWS MATMULS OPS TILE_ROWS TILE_COLUMNS SPLITS : THREADS REGISTERS SPILLED SHARED CODE

ROWS is 0 where the number is known only at run time; OPS are the operations of the region that are no matmuls; REGISTERS are those of a
thread, on AMD with accumulation registers.
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from onnx import TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WHIT_BUILD", ROOT / "build"))
FORMATS = ["int4_g128", "int4_g32", "int8_g128", "int8_channel", "int2_g32", "int3_g128", "int5_g128", "int6_g128", "int8_g32", "uint4_g32", "nf4", "mxfp4",
           "fp8_e4m3_g128", "int4_g32_f32", "int4_g128_bf16", "bf16"]
ACTIVATIONS = ["int8", "int8", "bf16", "f32"]
# K, N: of encoders, of small language models, and with tails
SHAPES = [(256, 256), (384, 384), (384, 1536), (1536, 384), (576, 576), (576, 960), (1536, 576), (576, 1536), (768, 768), (1024, 512), (320, 200), (640, 1000),
          (128, 2048), (896, 128)]
COLUMNS, MANY, SPLITS = (16, 32, 64, 128), (32, 64, 128), (8, 4, 2, 1)
FEW = {"sm_90a": 8, "gfx942": 16}


def compiler(*arguments):
    command = [str(BUILD / "bin/whit-compile"), *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None


def write_model(path, draw, rows):
    """Matmuls of all shapes; some with a residual, some gated by a second one."""
    nodes, tensors, inputs, outputs, kinds = [], [], {}, [], {}

    def take(name, shape):
        inputs.setdefault(name, helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def product(name, k, n, out):
        values = np.random.default_rng(k * n).standard_normal((k, n), dtype=np.float32)
        tensors.append(helper.make_tensor(f"w_{name}", TensorProto.FLOAT, (k, n), values.tobytes(), raw=True))
        nodes.append(helper.make_node("MatMul", [take(f"x{k}", [rows, k]), f"w_{name}"], [out], name=name))

    for i, (k, n) in enumerate(SHAPES):
        kind = draw.choice(["plain", "plain", "residual", "gate"])
        name, out = f"m{i}", f"y{i}"
        kinds[name] = kind
        if kind == "plain":
            product(name, k, n, out)
        elif kind == "residual":
            product(name, k, n, f"s{i}")
            nodes.append(helper.make_node("Add", [f"s{i}", take(f"r{n}", [rows, n])], [out], name=f"{name}.add"))
        else:
            product(name, k, n, f"g{i}")
            product(f"{name}.up", k, n, f"u{i}")
            nodes.append(helper.make_node("Sigmoid", [f"g{i}"], [f"h{i}"], name=f"{name}.sigmoid"))
            nodes.append(helper.make_node("Mul", [f"g{i}", f"h{i}"], [f"a{i}"], name=f"{name}.silu"))
            nodes.append(helper.make_node("Mul", [f"a{i}", f"u{i}"], [out], name=f"{name}.gated"))
        outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, [rows, n]))
    graph = helper.make_graph(nodes, "facts", list(inputs.values()), outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def schedule(text, draw, target, rows):
    """The module with a schedule for each region that multiplies, and the operations of each that do not."""
    lines, others, start = text.split("\n"), {}, None
    for i, line in enumerate(lines):
        if re.search(r"= whit\.region ", line):
            start = i
        if "whit.yield" not in line or start is None:
            continue
        inside = lines[start + 1:i]
        matmuls = [x for x in inside if re.search(r"whit\.(quantized_)?matmul ", x)]
        if matmuls:
            few = FEW[target]
            columns, splits = draw.choice(COLUMNS), draw.choice(SPLITS)
            tile = few if isinstance(rows, int) and rows <= few else draw.choice(MANY)
            if len(inside) > 2:  # results of single operations stay in shared memory, which is never more than 48 KB of them
                columns = min(columns, 4096 // tile)
            extra = f", few = [{few}, {draw.choice(COLUMNS)}]" if not isinstance(rows, int) else ""
            cut = f"schedule <tile = [{tile}, {columns}]{extra}{f', splits = {splits}' if splits > 1 else ''}>"
            lines[start] = re.sub(r"\) (attributes|\{)", rf") {cut} \1", lines[start], count=1)
            for j in range(start + 1, i):
                if re.search(r"whit\.(quantized_)?matmul ", lines[j]):
                    lines[j] = re.sub(r"( at <.*?, \d+ by \d+>)", rf"\1 {cut}", lines[j], count=1)
            name = re.search(r'whit\.region "([^"]*)"', lines[start])[1]
            others[name] = sum(bool(re.match(r"\s+%\S+ = (whit|linalg)\.", x)) for x in inside) - len(matmuls)
        start = None
    return "\n".join(lines), others


def run(job):
    target, form, activations, rows, seed = job
    draw = random.Random(repr(job))
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        write_model(place / "m.onnx", draw, rows)
        flags = [f"--target={target}", f"--weights={form}", f"--activations={activations}", "--quantizer=nearest"]
        if error := compiler(place / "m.onnx", "-o", place / "m.mlir", "--stop-after=laid-out", *flags):
            return [], f"{job}: {error[:300]}"
        text, others = schedule((place / "m.mlir").read_text(encoding="utf-8"), draw, target, rows)
        (place / "n.mlir").write_text(text, encoding="utf-8")
        if error := compiler(place / "n.mlir", "--start-from=laid-out", "-o", place / "m.so", f"--target={target}", f"--facts={place / 'facts'}"):
            return [], f"{job}: {error[:300]}"
        kernels = [json.loads(line) for line in (place / "facts").read_text(encoding="utf-8").splitlines()]
    kept = [{**k, "rows": rows if isinstance(rows, int) else 0, "ops": others.get(k["region"], 0)} for k in kernels if k["matmuls"] and "tile" in k]
    return kept, None


def pack(paths):
    """A line for each kernel, none twice, in order."""
    lines = set()
    for path in paths:
        for text in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(text)
            first = row["matmuls"][0]
            threads = row["block"][0] * row["block"][1] * row["block"][2]
            lines.add(" ".join(map(str, [row["target"], first["format"], first["products"], first["n"], first["k"], row["rows"], len(row["matmuls"]), row["ops"],
                                         row["tile"][-2], row["tile"][-1], row["splits"], ":", threads, row["registers"], row["spilled"], row["shared"],
                                         row["code"]])))
    return sorted(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path)
    parser.add_argument("--targets", default="sm_90a,gfx942")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--pack", nargs="+")
    options = parser.parse_args()
    if options.pack:
        options.output.write_text("\n".join(pack(options.pack)) + "\n", encoding="utf-8")
        return 0
    jobs = [(target, form, activations, rows, options.seed) for target in options.targets.split(",") for form in FORMATS for activations in ACTIVATIONS
            for rows in (["tokens"] if activations != "int8" else ["tokens", 1, 128])]
    jobs = list(dict.fromkeys(jobs))
    random.Random(options.seed).shuffle(jobs)
    begin, found = time.monotonic(), 0
    with options.output.open("w", encoding="utf-8") as out, ThreadPoolExecutor(options.jobs) as pool:
        for rows, error in pool.map(lambda job: run(job) if time.monotonic() - begin < options.seconds else ([], None), jobs):
            if error:
                print(error, file=sys.stderr)
            for row in rows:
                out.write(json.dumps(row) + "\n")
            out.flush()
            found += len(rows)
    print(f"{found} kernels in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
