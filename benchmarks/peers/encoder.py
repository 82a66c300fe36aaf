# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MiniLM-L6, batch 1 and 128 tokens, in f32 and with int8 and int4 weights; and what compiling it takes."""

import json
import subprocess
import time

from contestant import BUILD, best_seconds, compiled, whit_run

TOKENS = 128
ROW = "MiniLM {}"
MILLISECONDS = 1e3


def inputs():
    import numpy
    ids = numpy.array([[1000 + 131 * i % 20000 for i in range(TOKENS)]], numpy.int64)
    return {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}


def session(path, threads):
    """An ONNX Runtime session on the CPU."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def quantized_int8(options, folder):
    from onnxruntime.quantization import quantize_dynamic
    quantize_dynamic(options.models / "minilm.onnx", folder / "model.onnx")


def quantized_int4(options, folder):
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    quantizer = MatMulNBitsQuantizer(onnx.load(options.models / "minilm.onnx"), block_size=32, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(str(folder / "model.onnx"))


def onnxruntime_with(kind, make=None):
    def contestant(options):
        path = options.models / "minilm.onnx"
        if make:
            path = options.cached(f"ort-encoder-{kind}", lambda folder: make(options, folder)) / "model.onnx"
        yield None
        run, values = session(path, options.threads).run, inputs()
        yield ROW.format(kind), MILLISECONDS * best_seconds(lambda: run(None, values))
    return contestant


def openvino_f32(options):
    yield None
    import openvino
    core, values = openvino.Core(), inputs()
    model = core.read_model(options.models / "minilm.onnx")
    model.reshape({name: value.shape for name, value in values.items()})
    request = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY",
                                                "INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    yield ROW.format("f32"), MILLISECONDS * best_seconds(lambda: request.infer(values))


def iree_module(options):
    """MiniLM as IREE compiles it for this processor with fixed sizes, and the seconds that the compiler took."""
    def make(folder):
        import onnx
        model = onnx.load(options.models / "minilm.onnx")
        for value in [*model.graph.input, *model.graph.output]:
            for dimension, size in zip(value.type.tensor_type.shape.dim, (1, TOKENS)):
                dimension.dim_value = size
        onnx.save(model, folder / "model.onnx")
        subprocess.run([options.work / "bin/iree-import-onnx", folder / "model.onnx", "-o", folder / "model.mlir"], check=True)
        (folder / "model.onnx").unlink()
        iree_compile(options, folder)
    return options.cached("iree-encoder-f32", make)


def iree_compile(options, folder):
    """Seconds of a run of iree-compile; its higher optimization levels gave slower code."""
    start = time.perf_counter()
    subprocess.run([options.work / "bin/iree-compile", folder / "model.mlir", "-o", folder / "model.vmfb", "--iree-hal-target-device=local",
                    "--iree-hal-local-target-device-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host"], check=True)
    return time.perf_counter() - start


def iree_f32(options):
    module = iree_module(options) / "model.vmfb"
    yield None
    device = ["--device=local-sync"] if options.threads == 1 else ["--device=local-task", f"--task_topology_group_count={options.threads}"]
    out = subprocess.run([options.work / "bin/iree-benchmark-module", f"--module={module}", "--function=main_graph", *device,
                          *(f"--input=1x{TOKENS}xi64={value}" for value in (5, 1, 0)), "--benchmark_min_time=0.2s",
                          "--benchmark_repetitions=5", "--benchmark_format=json"], check=True, capture_output=True, text=True).stdout
    runs = [b["real_time"] for b in json.loads(out[out.index("{"):])["benchmarks"] if b["run_type"] == "iteration"]
    yield ROW.format("f32"), min(runs)  # in milliseconds, as its report says


WHIT_FLAGS = {"f32": (), "int8": ("--weights=int8_channel", "--activations=int8"), "int4": ("--weights=int4_g32", "--activations=int8")}


def whit(options):
    artifacts = {kind: compiled(options, f"encoder-{kind}", options.models / "minilm.onnx", *flags) for kind, flags in WHIT_FLAGS.items()}
    yield None
    for kind, artifact in artifacts.items():
        found = whit_run(artifact, options, "--benchmark=50", "--dim=batch_size=1", f"--dim=sequence_length={TOKENS}")
        yield ROW.format(kind), found["ms_min"]


COMPILE = "compile {}"


def iree_compiling(options):
    folder = iree_module(options)
    yield None
    yield COMPILE.format("MiniLM f32"), iree_compile(options, folder)


def whit_compiling(options):
    yield None
    # The key of `compiled` would find what was compiled before: a time is wanted.
    for what, model, *flags in (("MiniLM f32", "minilm.onnx"), ("SmolLM2 int4", "smollm2_genai_int4.onnx", "--activations=int8")):
        folder = options.work / "cache" / "whit-compiling"
        folder.mkdir(exist_ok=True)
        start = time.perf_counter()
        subprocess.run([BUILD / "bin/whit-compile", options.models / model, "-o", folder / "model.so", "--quiet", *flags], check=True)
        yield COMPILE.format(what), time.perf_counter() - start


CONTESTANTS = {"ORT f32": onnxruntime_with("f32"), "ORT int8": onnxruntime_with("int8", quantized_int8),
               "ORT int4": onnxruntime_with("int4", quantized_int4), "OpenVINO f32": openvino_f32, "IREE f32": iree_f32, "Whit": whit}
COMPILE_CONTESTANTS = {"IREE": iree_compiling, "Whit": whit_compiling}
