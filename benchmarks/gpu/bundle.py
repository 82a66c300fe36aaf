# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes all that a machine with a GPU needs to check and time Whit's kernels, as one file of at most 64 MB.

usage: ./dev gpu-bundle [-o build/whit-gpu-bundle.tar.xz] [--targets sm_80,sm_89,sm_90a] [--formats int4_g128,nf4,...] [--tiny] [--no-models]

The other machine needs a driver and Python, nothing else:

  tar xf whit-gpu-bundle.tar.xz && whit-gpu-bundle/run.sh --device=cuda:0      # writes results.json
  python benchmarks/gpu/report.py results.json --write                         # here: the page and rows for the cost model

In the bundle are

  cases.json        what there is to run (cases() below) and the numbers of the datasheets
  artifacts/        compiled models with kernels for all targets, and their packed weights
  data/             inputs, and what the interpreter made of them in f64, with a bound for each element
  bin/, lib/        whit-run and the C++ libraries it was built with
  run.sh, *.py      what checks and measures (benchmarks/gpu)

Weights of the timed kernels repeat after 208 columns, a number that has no factor in common with any tile but 16. So a file of 8 MB packs
into 1 MB, the interpreter computes 208 columns in place of 4096, and kernels still read and decode every byte. Where columns go is checked
by the small cases, whose weights are all different.

--tiny: a few small cases with bitcode for the simulator, as the tests use it.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WHIT_BUILD", ROOT / "build"))
MODELS = pathlib.Path(os.environ.get("WHIT_MODELS", BUILD / "models"))
FORMATS = "int4_g128,int4_g32,int8_g128,int3_g128,int5_g128,int6_g128,nf4,mxfp4,fp8_e4m3_g128"
# A code times its scale has at most 24 bits, so that one product has one right answer.
EXACT = re.compile(r"int\d|mxfp4|fp8_")
PERIOD = 208
# What torch is given to do in place of the two layers of SmolLM2.
DECODER = {"layers": 2, "hidden": 576, "heads": 9, "kv": 3, "depth": 64, "inner": 1536, "vocabulary": 49152, "prompt": 24, "tokens": 64}
ROWS = [1, 2, 4, 8, 16, 32, 64, 128]
LIMIT = 64_000_000
SHIPPED = ["run.sh", "run.py", "arrays.py", "baselines.py"]
ELEMENTS = {"bf16": TensorProto.BFLOAT16, "f32": TensorProto.FLOAT}


def tool(name, *arguments):
    command = [str(BUILD / "bin" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.strip()[-3000:]}")
    return done.stdout


def bf16_bits(values):
    """To nearest even in 16 bits, which is what numpy has no type for."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def stored(values, element):
    return bf16_bits(values) if element == "bf16" else np.asarray(values, np.float32)


def write_product(path, weights, element):
    """A model of one product, y = x * weights, for any number of tokens."""
    k, n = weights.shape
    kind = ELEMENTS[element]
    tensor = helper.make_tensor("weights", kind, (k, n), stored(weights, element).tobytes(), raw=True)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "weights"], ["y"], name="product")], "product",
                              [helper.make_tensor_value_info("x", kind, ["tokens", k])],
                              [helper.make_tensor_value_info("y", kind, ["tokens", n])], [tensor])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def first_layers(source, count, path):
    """The first layers of SmolLM2 as Optimum exports it, with its embedding and head."""
    model = onnx.load(str(source), load_external_data=False)
    graph = model.graph
    layers = 1 + max(int(found[1]) for node in graph.node if (found := re.match(r"/model/layers\.(\d+)/", node.name)))
    ends = {f"/model/layers.{layers - 1}/Add_1_output_0": f"/model/layers.{count - 1}/Add_1_output_0"}
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = ends.get(name, name)
    outputs = [o for o in graph.output if not o.name.startswith("present.") or int(o.name.split(".")[1]) < count]
    needed, nodes = {o.name for o in outputs}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed.update(node.input)
    kept = {"node": nodes, "output": outputs, "input": [x for x in graph.input if x.name in needed],
            "initializer": [x for x in graph.initializer if x.name in needed]}
    for field, values in kept.items():
        values = [type(x).FromString(x.SerializeToString()) for x in values]
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    onnx.load_external_data_for_model(model, str(source.parent))  # so that the copy needs no file beside it
    onnx.save(model, str(path))
    return path


def machines():
    """The datasheets of include/whit/GpuMachines.def."""
    text = (ROOT / "include/whit/GpuMachines.def").read_text(encoding="utf-8")
    found = []
    for line in re.findall(r'^WHIT_GPU_MACHINE\((".*)\)$', text, re.M):
        name, product, target, units, mhz, bandwidth, l2, _, f16, s8, e4m3, _, f32, launch = [x.strip().strip('"') for x in line.split(",")]
        found.append({"name": name, "product": product, "target": target, "units": int(units), "mhz": float(mhz), "gbs": float(bandwidth),
                      "l2_mib": float(l2), "f16_tflops": float(f16), "s8_tops": float(s8), "e4m3_tflops": float(e4m3),
                      "f32_tflops": float(f32), "launch_us": float(launch)})
    return found


class Bundle:
    """A folder that fills up, and the list of what is in it."""

    def __init__(self, folder, targets, simulation):
        self.folder, self.targets, self.simulation = folder, targets, simulation
        self.cases = []
        self.random = np.random.default_rng(7)
        self.inputs = {}  # files by what is in them: formats share theirs
        for name in ("artifacts", "data", "bin", "lib"):
            (folder / name).mkdir(parents=True)

    def compile(self, model, name, *flags):
        """The artifact, and what is known of the kernels without running them, by target: schedule, registers, instructions."""
        output = self.folder / "artifacts" / f"{name}.so"
        flags = [*flags, *(["--simulation"] if self.simulation else []), *(f"--target={t}" for t in self.targets)]
        with tempfile.TemporaryDirectory() as place:
            rows = pathlib.Path(place) / "facts.jsonl"
            tool("whit-compile", model, "-o", output, "--quiet", f"--facts={rows}", *flags)
            kernels = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
        facts = {t: [{key: value for key, value in k.items() if key not in ("model", "target", "is_final")} for k in kernels
                     if k["is_final"] and k["target"] == t.split(":")[0]] for t in self.targets}
        return {"artifact": f"artifacts/{name}.so", "weight_bytes": output.with_suffix(".safetensors").stat().st_size, "facts": facts}

    def save(self, name, **arrays):
        np.savez_compressed(self.folder / "data" / name, **arrays)
        return f"data/{name}.npz"

    def activations(self, kind, rows, k, element):
        """Numbers of a normal distribution, or for an exact result a single one in each row, 1 or another power of two; and their file."""
        key = f"{kind}-{rows}x{k}-{element}"
        random = np.random.default_rng([rows, k])
        values = random.standard_normal((rows, k))
        if kind == "exact":
            values[:] = 0
            values[np.arange(rows), random.integers(0, k, rows)] = 2.0 ** random.integers(-2, 3, rows)
        x = stored(values, element)
        if key not in self.inputs:
            self.inputs[key] = self.save(key, x=x)
        return x, self.inputs[key]

    def interpret(self, model, inputs, *flags):
        """Outputs in f64 of the model with its weights quantized, and NAME.bound for each."""
        with tempfile.TemporaryDirectory() as place:
            encoded, given, found = (pathlib.Path(place) / name for name in ("encoded.mlir", "given.npz", "found.npz"))
            np.savez(given, **inputs)
            # What is interpreted does not depend on the target from here on.
            tool("whit-compile", model, "-o", encoded, "--stop-after=encoded", "--quiet", f"--target={self.targets[0]}", *flags)
            tool("whit-check", encoded, "--inputs", given, "--outputs", found, "--bounds")
            with np.load(found) as file:
                return dict(file)

    def product(self, name, form, activations, k, n, rows, timed, large=None):
        """One kernel: its artifact and its checks. `timed`: weights repeat; `large`: how many rows are multiplied, if not as usual."""
        element = "bf16" if activations == "bf16" else "f32"
        period = min(PERIOD, n) if timed else n
        weights = self.random.standard_normal((k, period)).astype(np.float32) / np.sqrt(k)
        flags = [f"--weights={form}", f"--activations={activations}", *([f"--large-m={large}"] if large else [])]
        repeat = -(-n // period)

        def whole(columns):
            return np.tile(columns, (1, repeat))[:, :n]

        with tempfile.TemporaryDirectory() as place:
            model = write_product(pathlib.Path(place) / "whole.onnx", whole(weights), element)
            part = write_product(pathlib.Path(place) / "part.onnx", weights, element) if timed else model
            compiled = self.compile(model, name, *flags)
            checks = []
            for kind in ["random", "exact"] if EXACT.match(form) and activations != "int8" else ["random"]:
                x, file = self.activations(kind, max(rows), k, element)
                found = {key: whole(value).astype(np.float32) for key, value in self.interpret(part, {"x": x}, *flags).items()}
                if kind == "exact":
                    found.pop("y.bound")
                elif element == "f32":
                    found["y.bound"] += np.spacing(np.abs(found["y"]))  # that y was rounded just now
                checks.append({"name": kind, "inputs": file, "expected": self.save(f"{name}.{kind}.out", **found), "rows": rows, "rtol": 0, "atol": 0})
        self.cases.append({"name": name, "kind": "kernel", "format": f"{form} {large}" if large else form, "activations": activations, "element": element, "k": k, "n": n,
                           **compiled, "checks": checks, "times": [{"name": f"M={m}", "rows": m, "dims": {"tokens": m}} for m in rows if timed]})

    def model(self, name, path, feeds, times, *flags):
        """A whole model. Errors add up from operation to operation, so that its outputs may be twice as far from f64 as those of the CPU's code."""
        flags = ["--activations=f32", *flags]
        compiled = self.compile(path, name, *flags)
        exact = {k: v for k, v in self.interpret(path, feeds, *flags).items() if not k.endswith(".bound") and not k.startswith("present")}
        with tempfile.TemporaryDirectory() as place:
            code, given, found = (pathlib.Path(place) / x for x in ("host.so", "given.npz", "found.npz"))
            tool("whit-compile", path, "-o", code, "--quiet", "--target=x86-64", *flags)
            np.savez(given, **feeds)
            tool("whit-run", code, "--inputs", given, "--outputs", found, "--trust")
            with np.load(found) as host:
                off = max(float(np.abs(host[key] - value).max()) for key, value in exact.items())
        exact = {key: value.astype(np.float32) for key, value in exact.items()}
        check = {"name": "whole", "inputs": self.save(f"{name}.in", **feeds), "expected": self.save(f"{name}.out", **exact), "rows": None,
                 "rtol": 0, "atol": 2 * off}
        form = next((f.split("=")[1] for f in flags if f.startswith("--weights=")), "")
        self.cases.append({"name": name, "kind": "model", "format": form, "activations": "f32", **compiled, "checks": [check], "times": times})


def add_models(bundle, log):
    tokens = bundle.random.integers(1000, 20000, (1, 24))
    encoder, decoder = MODELS / "minilm.onnx", MODELS / "smollm2_optimum_fp32.onnx"
    if encoder.exists():
        log("minilm")
        feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        bundle.model("minilm", encoder, feeds, [{"name": "128 tokens", "rows": 128, "dims": {"batch_size": 1, "sequence_length": 128}}],
                     "--weights=int4_g32")
    if decoder.exists():
        log("smollm2, two layers")
        few = tokens[:, :6]  # each has 49152 logits
        feeds = {"input_ids": few, "attention_mask": np.ones_like(few), "position_ids": np.arange(few.shape[1])[None]}
        with tempfile.TemporaryDirectory() as place:
            bundle.model("smollm2-2-layers", first_layers(decoder, 2, pathlib.Path(place) / "layers.onnx"), feeds,
                         [{"name": "decode behind 128 tokens", "rows": 1, "dims": {"batch_size": 1, "sequence_length": 1, "past_sequence_length": 128}},
                          {"name": "64 tokens behind 24", "rows": 1, "generate": 64, "prompt": tokens[0].tolist()}], "--weights=int4_g32")
        bundle.cases[-1]["decoder"] = DECODER
    for path in (encoder, decoder):
        if not path.exists():
            log(f"left out: there is no {path}")


def add_cases(bundle, options, log):
    formats = options.formats.split(",")
    if options.tiny:
        for form in formats:
            log(form)
            bundle.product(f"small-{form}-bf16", form, "bf16", 96, 48, [1, 3], timed=False)
        bundle.product(f"timed-{formats[0]}", formats[0], "bf16", 128, 64, [1, 9], timed=True)
        return
    for form in formats:
        log(form)
        for activations in ("bf16", "f32", "int8"):
            # Tails on all sides: K is no multiple of what a unit of codes holds, N of no tile.
            bundle.product(f"small-{form}-{activations}", form, activations, 416, 200, [1, 3, 17, 33], timed=False)
        bundle.product(f"timed-{form}", form, "bf16", 4096, 4096, ROWS, timed=True)
    bundle.product(f"timed-{formats[0]}-wide", formats[0], "bf16", 4096, 14336, ROWS, timed=True)
    if any(target.startswith("sm_90a") for target in bundle.targets):
        log(f"{formats[0]} by warpgroups")
        for activations in ("bf16", "f32", "int8"):
            bundle.product(f"wgmma-{formats[0]}-{activations}", formats[0], activations, 416, 200, [1, 9, 70, 130], timed=False, large="wgmma")
        bundle.product(f"timed-{formats[0]}-wgmma", formats[0], "bf16", 4096, 4096, ROWS, timed=True, large="wgmma")
    if not options.no_models:
        add_models(bundle, log)


def add_runtime(folder):
    """whit-run, and what it is linked with beside the C library."""
    program = BUILD / "bin/whit-run"
    shutil.copy2(program, folder / "bin")
    needs = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    if found := re.findall(r"lib(?:LLVM|MLIR)\S*", needs):
        sys.exit(f"whit-run is linked with {found[0]}, which a bundle has no room for")
    for name, path in re.findall(r"(\S+) => (\S+)", needs):
        if not re.match(r"lib(c|m|dl|pthread|rt)\.so", name):
            shutil.copy2(path, folder / "lib" / name)
    for name in SHIPPED:
        shutil.copy2(ROOT / "benchmarks/gpu" / name, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=BUILD / "whit-gpu-bundle.tar.xz", help="a .tar.xz, or a folder")
    parser.add_argument("--targets", default="sm_80,sm_89,sm_90a", help="architectures to compile for")
    parser.add_argument("--formats", default=FORMATS, help="formats of weights; the first one is timed at a wide shape too")
    parser.add_argument("--tiny", action="store_true", help="a few small cases, with bitcode for the simulator")
    parser.add_argument("--no-models", action="store_true", help="kernels alone")
    options = parser.parse_args()
    packed = options.output.name.endswith(".tar.xz")
    if not packed and options.output.exists():
        sys.exit(f"{options.output} exists; remove it first")

    def log(text):
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "whit-gpu-bundle" if packed else options.output
        bundle = Bundle(folder, options.targets.split(","), options.tiny)
        add_cases(bundle, options, log)
        add_runtime(folder)
        described = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
        about = {"schema": 1, "git": described.stdout.strip(), "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
                 "targets": bundle.targets, "machines": machines(), "cases": bundle.cases}
        (folder / "cases.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        if packed:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(options.output, "w:xz", preset=3) as file:
                file.add(folder, folder.name)
            size = options.output.stat().st_size
            if size > LIMIT:
                options.output.unlink()
                sys.exit(f"the bundle takes {size / 1e6:.1f} MB, at most {LIMIT / 1e6:.0f} are allowed; leave out formats or targets")
            log(f"{options.output}: {len(bundle.cases)} cases, {size / 1e6:.1f} MB")
        else:
            log(f"{options.output}: {len(bundle.cases)} cases")


if __name__ == "__main__":
    main()
