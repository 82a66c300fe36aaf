# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SmolLM2-135M at 4 bits, and a model of its kind with 1.1 billion parameters: a prompt, then greedy tokens.

Everybody computes logits for the last token of the prompt only. Weights are int4 in groups of 32, activations int8 where the contestant
can (llama.cpp and ONNX Runtime GenAI do by default, OpenVINO by its option). Caches are f16, as llama.cpp's; OpenVINO has bytes by default, ONNX
Runtime GenAI the f32 of its model.
"""

import json
import shutil
import subprocess
import time

from contestant import compiled, whit_run
from generated import LARGE, write_gguf, write_onnx

PROMPTS, GENERATE = (128, 512), 64
DECODE, PROMPT = f"{GENERATE} tokens after {PROMPTS[0]}", "prompt of {}"
LARGE_DECODE = f"1.1 B: {GENERATE} tokens after {PROMPTS[0]}"
SMALL = {"hidden": 576, "heads": 9, "kv_heads": 3, "head": 64, "layers": 30, "vocabulary": 49152}
REPEATS = 3


def prompt_ids(length):
    """Any ids do: the time of a token does not depend on which one it is."""
    return [5 + 131 * i % 30000 for i in range(length)]


def results(seconds_of, decode_row=DECODE, prompts=PROMPTS):
    """Rows of a contestant whose seconds_of(prompt length, tokens) is (seconds of the prompt, seconds of the tokens behind it)."""
    for length in prompts:
        tokens = GENERATE if length == PROMPTS[0] else 0
        runs = [seconds_of(length, tokens) for _ in range(REPEATS)]
        if decode_row == DECODE:
            yield PROMPT.format(length), length / min(prompt for prompt, _ in runs)
        if tokens:
            yield decode_row, tokens / min(decode for _, decode in runs)


# ------------------------------------------------------------------------------------------------------------ llama.cpp

def llama_bench(options, model, *arguments):
    out = subprocess.run([options.work / "llama/bin/llama-bench", "-m", model, "-t", str(options.threads), "-r", str(REPEATS), "-o", "json",
                          *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    return min(json.loads(out)[0]["samples_ns"]) * 1e-9


def llama_cpp(kind):
    def contestant(options):
        model = options.cached(f"llama-{kind}", lambda folder: subprocess.run(
            [options.work / "llama/bin/llama-quantize", "--allow-requantize", "--pure", options.models / "smollm2.gguf", folder / "model.gguf",
             kind], check=True, capture_output=True)) / "model.gguf"
        yield None
        for length in PROMPTS:
            yield PROMPT.format(length), length / llama_bench(options, model, "-p", length, "-n", 0)
        yield DECODE, GENERATE / llama_bench(options, model, "-p", 0, "-n", GENERATE, "-d", PROMPTS[0])
    return contestant


def llama_cpp_large(options):
    model = options.cached("large-gguf", lambda folder: write_gguf(folder / "model.gguf")) / "model.gguf"
    yield None
    yield LARGE_DECODE, GENERATE / llama_bench(options, model, "-p", 0, "-n", GENERATE, "-d", PROMPTS[0])


# ------------------------------------------------------------------------------------------------- ONNX Runtime GenAI

def cut_to_last_token(model):
    """Puts a Slice before the output head of a GenAI graph, so that it sees the last token alone."""
    from onnx import TensorProto, helper
    head = next(node for node in model.graph.node if "logits" in node.output)
    for suffix, value in (("start", -1), ("end", 2**62), ("axis", 1)):
        model.graph.initializer.append(helper.make_tensor(f"last_{suffix}", TensorProto.INT64, [1], [value]))
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node(
        "Slice", [head.input[0], "last_start", "last_end", "last_axis"], ["last_token"]))
    head.input[0] = "last_token"
    next(v for v in model.graph.output if v.name == "logits").type.tensor_type.shape.dim[1].dim_value = 1


def genai_config(shape):
    past, present = "past_key_values.%d.", "present.%d."
    decoder = {"filename": "model.onnx", "session_options": {"provider_options": []}, "head_size": shape["head"],
               "hidden_size": shape["hidden"], "num_attention_heads": shape["heads"], "num_key_value_heads": shape["kv_heads"],
               "num_hidden_layers": shape["layers"],
               "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", "past_key_names": past + "key",
                          "past_value_names": past + "value"},
               "outputs": {"logits": "logits", "present_key_names": present + "key", "present_value_names": present + "value"}}
    return {"model": {"type": "llama", "vocab_size": shape["vocabulary"], "context_length": 8192, "bos_token_id": 1, "eos_token_id": 2,
                      "pad_token_id": 2, "decoder": decoder},
            "search": {"max_length": 8192, "past_present_share_buffer": True}}


def genai_seconds(folder, threads):
    """A function for `results`. Tokens are never the end: a minimum length keeps the model going."""
    import numpy
    import onnxruntime_genai
    config = onnxruntime_genai.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
    model = onnxruntime_genai.Model(config)

    def seconds_of(length, tokens):
        parameters = onnxruntime_genai.GeneratorParams(model)
        total = length + tokens + 1
        parameters.set_search_options(max_length=total, min_length=total, do_sample=False)
        generator = onnxruntime_genai.Generator(model, parameters)
        start = time.perf_counter()
        generator.append_tokens(numpy.array([prompt_ids(length)], numpy.int32))
        generator.generate_next_token()
        middle = time.perf_counter()
        for _ in range(tokens):
            generator.generate_next_token()
        return middle - start, time.perf_counter() - middle
    return seconds_of


def ort_genai(options):
    def make(folder):
        import onnx
        name = "smollm2_genai_int4.onnx"
        model = onnx.load(options.models / name, load_external_data=False)
        cut_to_last_token(model)
        onnx.save(model, folder / "model.onnx")
        shutil.copy(options.models / f"{name}.data", folder)
        (folder / "genai_config.json").write_text(json.dumps(genai_config(SMALL)))
    folder = options.cached("ort-genai", make)
    yield None
    yield from results(genai_seconds(folder, options.threads))


def large_onnx(options):
    """A folder with the large model as it is, whole.onnx, and as ONNX Runtime GenAI runs it; both have their weights in one file."""
    def make(folder):
        import onnx
        write_onnx(folder / "whole.onnx")
        model = onnx.load(folder / "whole.onnx", load_external_data=False)
        cut_to_last_token(model)
        onnx.save(model, folder / "model.onnx")
        (folder / "genai_config.json").write_text(json.dumps(genai_config(LARGE)))
    return options.cached("large-models", make)


def ort_genai_large(options):
    folder = large_onnx(options)
    yield None
    yield from results(genai_seconds(folder, options.threads), LARGE_DECODE, PROMPTS[:1])


# ------------------------------------------------------------------------------------------------------------ OpenVINO

def openvino_model(path):
    """The graph of Optimum in the form that OpenVINO is fastest on: fused attention, caches as state, the head on the last token."""
    import numpy
    import openvino
    from openvino import opset13
    from openvino._offline_transformations import apply_make_stateful_transformation
    model = openvino.convert_model(path)

    def integers(*values):
        return opset13.constant(numpy.array(values, numpy.int64))

    def redirect(old, new):
        for use in list(old.get_target_inputs()):
            use.replace_source_output(new.output(0))

    def source(output, *skipped):
        while output.get_node().get_type_name() in skipped:
            output = output.get_node().input_value(0)
        return output

    mask = None
    for softmax in [node for node in model.get_ordered_ops() if node.get_type_name() == "Softmax"]:
        scores, bias = softmax.input_value(0).get_node().input_values()
        mask = mask or bias  # the exporter repeats it in every layer
        product = softmax  # a guard against rows of NaN may stand before it
        while product.get_type_name() != "MatMul":
            users = [use.get_node() for use in product.output(0).get_target_inputs()]
            product = next(user for user in users if user.get_type_name() in ("Select", "MatMul"))
        query, key = scores.get_node().input_values()
        redirect(product.output(0), opset13.scaled_dot_product_attention(
            source(query, "Multiply"), source(key, "Multiply", "Transpose"), product.input_value(1), mask))

    beam = opset13.parameter([-1], numpy.int32, name="beam_idx")
    beam.output(0).set_names({"beam_idx"})
    states = {}
    for parameter in model.get_parameters():
        name = parameter.output(0).get_any_name()
        if name.startswith("past_key_values"):
            states[name] = name.replace("past_key_values", "present")
            uses = list(parameter.output(0).get_target_inputs())
            gather = opset13.gather(parameter, beam, integers(0))
            for use in uses:
                use.replace_source_output(gather.output(0))
    model.add_parameters([beam])
    head = model.output("logits").get_node().input_value(0).get_node()
    head.input(0).replace_source_output(opset13.gather(head.input_value(0), integers(-1), integers(1)).output(0))
    model.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(model, states)
    batch = opset13.gather(opset13.shape_of(model.input("input_ids").get_node()), integers(0), integers(0))
    for read in [node for node in model.get_ops() if node.get_type_name() == "ReadValue"]:
        _, heads, _, size = read.get_output_partial_shape(0)
        shape = opset13.concat([batch, integers(heads.get_length()), integers(0), integers(size.get_length())], 0)
        read.set_arguments([opset13.broadcast(opset13.constant(0.0, numpy.float32), shape).output(0)])
    model.validate_nodes_and_infer_types()
    return model


def openvino_int4(options):
    def make(folder):
        import nncf
        import openvino
        model = nncf.compress_weights(openvino_model(options.models / "smollm2_optimum_fp32.onnx"),
                                      mode=nncf.CompressWeightsMode.INT4_SYM, group_size=32, ratio=1.0, all_layers=True)
        openvino.save_model(model, folder / "model.xml")
    folder = options.cached("openvino-int4", make)
    yield None
    import numpy
    import openvino
    request = openvino.Core().compile_model(folder / "model.xml", "CPU", {
        "INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 32}).create_infer_request()

    def step(ids, past):
        total = past + ids.shape[1]
        logits = request.infer({"input_ids": ids, "attention_mask": numpy.ones((1, total), numpy.int64),
                                "position_ids": numpy.arange(past, total)[None], "beam_idx": numpy.zeros(1, numpy.int32)})[0]
        return logits[:, -1].argmax(-1)[None]

    def seconds_of(length, tokens):
        request.reset_state()
        start = time.perf_counter()
        token = step(numpy.array([prompt_ids(length)], numpy.int64), 0)
        middle = time.perf_counter()
        for i in range(tokens):
            token = step(token, length + i)
        return middle - start, time.perf_counter() - middle
    yield from results(seconds_of)


# ---------------------------------------------------------------------------------------------------------------- Whit

def whit_results(artifact, options, decode_row=DECODE, prompts=PROMPTS):
    """Prompts by runs after a warm-up, as the others are measured; tokens as whit-run generates them, each time in a process of its own."""
    if decode_row == DECODE:
        for length in prompts:
            sizes = {"batch_size": 1, "sequence_length": length, "total_sequence_length": length, "past_sequence_length": 0, "whit.last_rows": 1}
            found = whit_run(artifact, options, f"--benchmark={2 * REPEATS}", *(f"--dim={name}={size}" for name, size in sizes.items()))
            yield PROMPT.format(length), 1e3 * length / found["ms_min"]
    ids = ",".join(map(str, prompt_ids(PROMPTS[0])))
    yield decode_row, max(whit_run(artifact, options, f"--generate={GENERATE + 1}", f"--prompt-ids={ids}")["decode_tps"] for _ in range(REPEATS))


def whit(options):
    artifact = compiled(options, "smollm2", options.models / "smollm2_genai_int4.onnx", "--activations=int8", "--context=8192", "--kv=f16")
    yield None
    yield from whit_results(artifact, options)


def whit_large(options):
    artifact = compiled(options, "large", large_onnx(options) / "whole.onnx", "--activations=int8", "--kv=f16")
    yield None
    yield from whit_results(artifact, options, LARGE_DECODE, PROMPTS[:1])


CACHES = ("f16", "int8", "int4")
CACHED_TOKENS = 8192 - 64


def whit_caches(options):
    """Tokens a second that attention alone would reach behind a long cache, by the cache's format: from the times of its regions."""
    artifacts = {kv: compiled(options, f"smollm2-{kv}", options.models / "smollm2_genai_int4.onnx", "--activations=int8", "--context=8192",
                              f"--kv={kv}") for kv in CACHES}
    yield None
    tokens = 16
    for kv, artifact in artifacts.items():
        profile = options.work / "cache" / "profile.json"
        whit_run(artifact, options, f"--generate={tokens + 1}", f"--prompt-ids={','.join(map(str, prompt_ids(CACHED_TOKENS)))}",
                 f"--profile={profile}")
        yield f"attention to {CACHED_TOKENS} tokens, {kv}", decode_attention_rate(json.loads(profile.read_text()), tokens)


def decode_attention_rate(profile, tokens):
    """Steps a second, if only regions of attention took time: over the last `tokens` steps of a profile, in microseconds."""
    events = [event for event in profile["traceEvents"] if event.get("cat") == "region"]
    begins = sorted(event["ts"] for event in events if event["args"]["region"] == 0)
    return tokens / (1e-6 * sum(event["dur"] for event in events
                                if event["ts"] >= begins[-tokens] and "attention" in event["name"].lower()))


CONTESTANTS = {"llama.cpp Q4_0": llama_cpp("Q4_0"), "llama.cpp Q4_1": llama_cpp("Q4_1"), "ORT GenAI int4": ort_genai,
               "OpenVINO int4": openvino_int4, "Whit": whit}
LARGE_CONTESTANTS = {"llama.cpp Q4_0": llama_cpp_large, "ORT GenAI int4": ort_genai_large, "Whit": whit_large}
CACHE_CONTESTANTS = {"Whit": whit_caches}
