# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Weights of a GGUF file in an ONNX model: `whit-compile model.onnx --params=weights.gguf` beside ONNX Runtime in f32 on the values that
the `gguf` package gives the same blocks, and, in a long run where it is installed (llama_cpp.py), beside llama.cpp on the same file."""
import collections
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import llama_cpp
import reference
import whit
from ledger import record

gguf = pytest.importorskip("gguf")
onnx = pytest.importorskip("onnx")

PERPLEXITY = 0.005  # of f32, where activations are rounded to int8, as llama.cpp rounds its own
SAME = 1e-4  # where nothing is rounded and sums differ in their order only
CHUNK, LONG = 500, 8000
IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
HEADS, KEY_HEADS, LAYERS = 9, 3, 30
PARTS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}  # fmt: skip


def blocks_of(kind, values: np.ndarray) -> np.ndarray:
    """Rows as blocks of a type; the package decodes iq4_nl, but has no encoder."""
    if kind.name != "IQ4_NL":
        return gguf.quants.quantize(values, kind)
    groups = values.reshape(*values.shape[:-1], -1, 32)
    extreme = np.take_along_axis(groups, np.abs(groups).argmax(-1)[..., None], -1)
    scale = (extreme / -127).astype(np.float16)
    wanted = groups / np.where(scale == 0, 1, scale).astype(np.float32)
    codes = np.searchsorted((IQ4[1:] + IQ4[:-1]) / 2, wanted).astype(np.uint8)
    nibbles = codes[..., :16] | codes[..., 16:] << 4
    return np.concatenate([scale.view(np.uint8), nibbles], -1).reshape(*values.shape[:-1], -1)


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter does to the rows of q and k."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


class Model:
    """A copy of the Optimum export whose own weights are zeros, a GGUF file with its weights in one type, and their values by initializer."""

    def __init__(self, source: Path, kind, folder: Path):
        graph = onnx.load(str(source), load_external_data=False)
        stored = {tensor.name: tensor for tensor in graph.graph.initializer}
        location = next(entry.value for tensor in stored.values() for entry in tensor.external_data if entry.key == "location")
        self.onnx, self.gguf, self.values = folder / "model.onnx", folder / "weights.gguf", {}
        shutil.copy(source, self.onnx)
        with open(folder / location, "wb") as file:  # a hole: nothing of it may be used
            file.truncate((source.parent / location).stat().st_size)
        self.writer = gguf.GGUFWriter(str(self.gguf), "llama")
        self.describe(stored["model.embed_tokens.weight"].dims)

        def value(name):
            tensor = onnx.TensorProto()
            tensor.CopyFrom(stored[name])
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(source.parent))
            return onnx.numpy_helper.to_array(tensor)

        for name in stored:
            if len(stored[name].dims) == 1 and name.endswith("norm.weight"):
                layer = name.split(".")[2] if "layers" in name else None
                to = "output_norm" if layer is None else f"blk.{layer}.{'attn_norm' if 'input' in name else 'ffn_norm'}"
                self.values[name] = value(name)
                self.writer.add_tensor(to + ".weight", self.values[name])
        self.add("token_embd", kind, "model.embed_tokens.weight", value("model.embed_tokens.weight"))
        for node in graph.graph.node:
            parts = node.name.strip("/").split("/")
            if node.op_type != "MatMul" or len(parts) != 5 or f"{parts[2]}.{parts[3]}" not in PARTS:
                continue
            part = PARTS[f"{parts[2]}.{parts[3]}"]
            heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(part)
            self.add(f"blk.{parts[1].split('.')[1]}.{part}", kind, node.input[1], value(node.input[1]).T, heads, transposed=True)
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()

    def describe(self, embedding):
        """What the converter's reader takes (heads), and all else that llama.cpp asks for."""
        writer = self.writer
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_block_count(LAYERS)
        writer.add_context_length(8192)
        writer.add_embedding_length(embedding[1])
        writer.add_feed_forward_length(1536)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_freq_base(1e5)
        writer.add_rope_dimension_count(64)
        writer.add_vocab_size(embedding[0])
        writer.add_tokenizer_model("none")

    def add(self, name: str, kind, initializer: str, rows: np.ndarray, heads: int | None = None, transposed: bool = False):
        rows = np.ascontiguousarray(rows, np.float32)
        blocks = blocks_of(kind, rows)
        self.writer.add_tensor(name + ".weight", interleaved(blocks, heads) if heads else blocks, raw_dtype=kind)
        values = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        self.values[initializer] = np.ascontiguousarray(values.T if transposed else values)


def losses(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each token behind the first."""
    rows = logits[0, :-1].astype(np.float64)
    rows -= rows.max(-1, keepdims=True)
    return np.log(np.exp(rows).sum(-1)) - rows[np.arange(len(rows)), ids[1:]]


def text() -> str:
    root = reference.HERE.parents[1]
    files = [reference.HERE / "english.txt", root / "README.md", *sorted((root / "docs").glob("*.md"))]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize(
    "name, count, activations, bound",
    [pytest.param("Q4_0", 200, "f32", SAME, id="q4_0-short")]
    + [pytest.param(name, LONG, "auto", PERPLEXITY, id=name.lower(), marks=pytest.mark.skipif("WHIT_LONG" not in os.environ, reason="two minutes each"))
       for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL")],
)  # fmt: skip
def test_perplexity_of_smollm2(tools, optimum_fp32, tokens, tmp_path, name, count, activations, bound):
    ort, start = pytest.importorskip("onnxruntime"), time.monotonic()
    model = Model(optimum_fp32, gguf.GGMLQuantizationType[name], tmp_path)
    tools.run("whit-compile", model.onnx, f"--params={model.gguf}", f"--activations={activations}", "-o", tmp_path / "m.so")
    whole = onnx.load(str(optimum_fp32))
    for tensor in whole.graph.initializer:
        if tensor.name in model.values:
            tensor.CopyFrom(onnx.numpy_helper.from_array(model.values[tensor.name], tensor.name))
    session = ort.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    llama = llama_cpp.LlamaCpp(model.gguf, CHUNK) if llama_cpp.is_there() and count == LONG else None
    ids = np.array(tokens.encode(text())[:count], np.int64)
    assert len(ids) == count
    found = collections.defaultdict(list)
    for begin in range(0, count, CHUNK):
        chunk = ids[begin:begin + CHUNK]
        feeds = {"input_ids": chunk[None], "attention_mask": np.ones((1, len(chunk)), np.int64), "position_ids": np.arange(len(chunk))[None]}
        past = {i.name: np.zeros((1, KEY_HEADS, 0, 64), np.float32) for i in session.get_inputs() if i.name.startswith("past")}
        found["Whit"].append(losses(tools.infer(tmp_path / "m.so", feeds | past)["logits"], chunk))
        found["ONNX Runtime in f32"].append(losses(session.run(["logits"], feeds | past)[0], chunk))
        if llama:
            found["llama.cpp"].append(losses(llama.logits(chunk), chunk))
    if llama:
        llama.close()
    perplexity = {who: np.exp(np.concatenate(part).mean()) for who, part in found.items()}
    ours = perplexity.pop("Whit")
    far = {who: ours / theirs - 1 for who, theirs in perplexity.items()}
    wrong = sum(abs(ratio) >= bound for ratio in far.values())
    beside = "".join(f", {100 * far[who]:+.3f} % of {theirs:.4f} by {who}" for who, theirs in perplexity.items())
    record(f"perplexity in {name.lower()}", time.monotonic() - start, f"{count} tokens of SmolLM2: {ours:.4f}{beside}", wrong)
    assert not wrong


def write_product(folder: Path, kind, n: int, k: int, blocks: np.ndarray) -> tuple[Path, Path]:
    """y = x W with zeros for W, and a GGUF file that has W as `w`."""
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["y"], name="product")], "g",
        [helper.make_tensor_value_info("x", 1, ["rows", k])], [helper.make_tensor_value_info("y", 1, ["rows", n])],
        [onnx.numpy_helper.from_array(np.zeros((k, n), np.float32), "W")])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(folder / "m.onnx"))
    writer = gguf.GGUFWriter(str(folder / "w.gguf"), "test")
    writer.add_tensor("w", blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "names.json").write_text('{"W": "w"}')
    return folder / "m.onnx", folder / "w.gguf"


HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": []}  # fmt: skip


@pytest.mark.parametrize("name", HALVES)
def test_a_product_with_random_blocks(tools, tmp_path, name):
    """K is a multiple of 256; the identity as input shows the values of every block."""
    kind, n, k = gguf.GGMLQuantizationType[name], 40, 512
    rng = np.random.default_rng(kind.value)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (n * k // block, size), np.uint8)
    for at in HALVES[name]:
        blocks[:, at:at + 2] = rng.uniform(-0.1, 0.1, (len(blocks), 1)).astype(np.float16).view(np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = rng.integers(110, 130, len(blocks))
    model, weights = write_product(tmp_path, kind, n, k, blocks.reshape(n, -1))
    done = tools.call("whit-compile", model, f"--params={weights}", f"--param-names={tmp_path / 'names.json'}", "--activations=f32", "-o", tmp_path / "m.so")
    assert done.code == 0, done.err
    values = gguf.quants.dequantize(blocks.reshape(n, -1), kind).astype(np.float32)
    found = tools.infer(tmp_path / "m.so", {"x": np.eye(k, dtype=np.float32)})["y"].T
    assert np.abs(found - values).max() <= 2.0**-20 * np.abs(values).max()


def q4_0_file(folder: Path) -> tuple[Path, Path]:
    kind = gguf.GGMLQuantizationType.Q4_0
    return write_product(folder, kind, 32, 64, gguf.quants.quantize(np.ones((32, 64), np.float32), kind))


@pytest.mark.parametrize(
    "change, code, message",
    [
        (lambda data: data[:4].replace(b"GGUF", b"GGML") + data[4:], 1, "does not start with GGUF"),
        (lambda data: data[:4] + b"\x04" + data[5:], 3, "has version 4 of GGUF; 2 and 3 are supported"),
        (lambda data: data[:8] + b"\xff" * 8 + data[16:], 1, "at most 1048576 are read"),
        (lambda data: data[:40], 1, "cut off"),
        (lambda data: data[:-200], 1, "tensor 'w' lies at byte 0 of the data and has 1152 bytes; the file ends before"),
        (lambda data: data.replace(b"w\x02\x00\x00\x00\x40", b"w\x02\x00\x00\x00\x41"), 1, "tensor 'w' has rows of 65 elements; its type, 2, needs a multiple of 32"),
        (lambda data: data.replace(b"w\x02\x00\x00\x00\x40", b"w\x02\x00\x00\x00\x20"), 1, "'w' of 'w.gguf', which has shape [32, 32]; [64, 32] is required"),
        (lambda data: data.replace(b"w\x02\x00\x00\x00\x40", b"w\x09\x00\x00\x00\x40"), 1, "tensor 'w' has rank 9; it must be from 1 to 4"),
        (lambda data: data.replace(b"w\x02\x00\x00\x00", b"v\x02\x00\x00\x00"), 1, "initializer is to be 'w'; the GGUF file has no such tensor"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_by_name(tools, tmp_path, change, code, message):
    model, weights = q4_0_file(tmp_path)
    data = weights.read_bytes()
    broken = change(data)
    assert broken != data
    weights.write_bytes(broken)
    done = tools.call("whit-compile", model, f"--params={weights}", f"--param-names={tmp_path / 'names.json'}", "-o", tmp_path / "m.so")
    assert (done.code, message in done.err) == (code, True), done.err


def test_what_does_not_fit_the_model_is_refused(tools, tmp_path):
    model, weights = q4_0_file(tmp_path)
    names = tmp_path / "names.json"

    def refused(*flags) -> str:
        done = tools.call("whit-compile", model, "-o", tmp_path / "m.so", *flags)
        assert done.code in (1, 2), done.err
        return done.err

    assert "no tensor of 'w.gguf' has the name of an initializer" in refused(f"--params={weights}")
    names.write_text('{"Q": "w"}')
    assert "'Q'" in refused(f"--params={weights}", f"--param-names={names}")
    names.write_text('["w"]')
    assert "must be a JSON object" in refused(f"--params={weights}", f"--param-names={names}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/model.onnx").write_bytes(model.read_bytes())
    done = tools.call("whit-compile", tmp_path / "sub/model.onnx", f"--params={weights}", "-o", tmp_path / "m.so")
    assert done.code == 1 and "is not in the model's folder" in done.err and "put the file beside the model" in done.err


def test_the_report_and_inspect_say_the_formats(tools, tmp_path):
    model, weights = q4_0_file(tmp_path)
    tools.run("whit-compile", model, f"--params={weights}", f"--param-names={tmp_path / 'names.json'}", "-o", tmp_path / "m.so")
    assert "int4_g32  1 tensors, 2048 values, 0.00 MiB, 4.50 bits a value" in tools.run("whit-run", tmp_path / "m.so", "--inspect").out


def test_weights_that_the_file_has_quantized_are_quantized_again_only_when_told(tools, tmp_path):
    kind, (n, k) = gguf.GGMLQuantizationType.Q8_0, (48, 64)
    blocks = gguf.quants.quantize(np.random.default_rng(5).normal(0, 1, (n, k)).astype(np.float32), kind)
    values = gguf.quants.dequantize(blocks, kind)
    model, weights = write_product(tmp_path, kind, n, k, blocks)
    report = tmp_path / "report.json"
    flags = (model, f"--params={weights}", f"--param-names={tmp_path / 'names.json'}", "--activations=f32", "-o", tmp_path / "m.so", f"--report={report}")

    def stored():
        return tools.infer(tmp_path / "m.so", {"x": np.eye(k, dtype=np.float32)})["y"].T

    done = tools.run("whit-compile", *flags, "--weights=int4_g32")
    assert "no weight gets a format: the model has quantized all 1, such as 'W'; --requantize decodes and quantizes it again" in done.err
    assert np.abs(stored() - values).max() <= 2.0**-20 * np.abs(values).max()
    done = tools.run("whit-compile", *flags, "--format-map=W=nf4")
    assert "weight 'W' stays int8_g32: the model has quantized it; --requantize" in done.err
    for choice, name in (("--weights=int4_g32", "int4_g32"), ("--format-map=W=nf4", "nf4"), ("--weights=f16", "f16")):
        tools.run("whit-compile", *flags, choice, "--requantize", "--quantizer=nearest")
        expected = whit.Format(name).quantize(values, "nearest").dequantize()
        assert np.abs(stored() - expected).max() <= 2.0**-20 * np.abs(values).max()
        (told,) = json.loads(report.read_text())["weights"]
        noise = ((expected - values).astype(np.float64) ** 2).sum() / (values.astype(np.float64) ** 2).sum()
        assert (told["before"], told["format"]) == ("int8_g32", whit.Format(name).name) and told["snr_db"] == pytest.approx(-10 * np.log10(noise), abs=0.01)
    for wrong in (flags + ("--requantize",), (model, "-o", tmp_path / "m.so", "--weights=nf4", "--requantize")):
        done = tools.call("whit-compile", *wrong)
        assert done.code == 2 and "--requantize is for --params=FILE.gguf together with --weights or --format-map" in done.err


def test_programs_of_stablehlo_take_no_blocks(tools, tmp_path):
    _, weights = q4_0_file(tmp_path)
    (tmp_path / "p.mlir").write_text("func.func @main(%a: tensor<64x32xf32>) -> tensor<64x32xf32> { return %a : tensor<64x32xf32> }\n")
    done = tools.call("whit-compile", tmp_path / "p.mlir", f"--params={weights}", "-o", tmp_path / "m.so")
    assert done.code == 2 and "arguments of a StableHLO program are floats: bind .safetensors or .npz" in done.err
