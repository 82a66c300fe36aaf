#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What ONNX Runtime continues each prompt with, choosing the best token each time, and how clear each choice was.

    reference.py MODEL.onnx --tokens smollm2.gguf -o reference.json [--count 64] [--prompts prompts.txt]

Every MatMulNBits gets accuracy_level 0 in a copy of the graph beside the model, so that ONNX Runtime keeps f32 activations. The
output is a list of {"prompt", "ids", "tokens", "gaps"}; gaps[i] is the difference between the two best logits behind tokens[i].
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python"))


def prompts(path: Path = HERE / "prompts.txt") -> list[str]:
    """One prompt a line, with \\n for a line's end inside it."""
    return [line.replace("\\n", "\n") for line in path.read_text(encoding="utf-8").splitlines()]


class Runtime:
    """A language model in ONNX Runtime with f32 activations, one thread, and its own caches passed by hand."""

    def __init__(self, model: Path):
        import onnx
        import onnxruntime

        graph = onnx.load(str(model), load_external_data=False)
        for node in graph.graph.node:
            for attribute in node.attribute:
                if node.op_type == "MatMulNBits" and attribute.name == "accuracy_level":
                    attribute.i = 0
        copy = model.with_name(f".{model.stem}.{os.getpid()}.level0.onnx")  # external data is found beside the graph
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            onnx.save(graph, str(copy))
            self.session = onnxruntime.InferenceSession(str(copy), options)
        finally:
            copy.unlink(missing_ok=True)
        self.head_size = next((2 * t.dims[1] for t in graph.graph.initializer if t.name == "cos_cache"), None)
        self.past_inputs = [v for v in self.session.get_inputs() if v.name.startswith("past_key_values.")]
        self.outputs = [v.name for v in self.session.get_outputs()]
        self.wants_positions = any(v.name == "position_ids" for v in self.session.get_inputs())

    def empty_past(self, batch: int = 1) -> list[np.ndarray]:
        """Past tensors of length 0; the symbolic head size of some exporters is taken from the rotary table."""
        heads, size = self.past_inputs[0].shape[1::2]
        return [np.zeros((batch, heads, 0, size if isinstance(size, int) else self.head_size), np.float32) for _ in self.past_inputs]

    def step(self, ids: np.ndarray, past: list[np.ndarray], mask: np.ndarray | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Logits [batch, tokens, vocabulary] and the caches after these tokens."""
        if mask is None:
            mask = np.ones((ids.shape[0], ids.shape[1] + past[0].shape[2]), np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, **{v.name: p for v, p in zip(self.past_inputs, past)}}
        if self.wants_positions:
            feeds["position_ids"] = np.maximum(mask.cumsum(-1) - 1, 0)[:, -ids.shape[1]:]
        results = dict(zip(self.outputs, self.session.run(None, feeds)))
        return results["logits"], [results[v.name.replace("past_key_values", "present")] for v in self.past_inputs]

    def greedy(self, ids: list[int], count: int) -> tuple[list[int], list[float]]:
        """The next `count` tokens, going on past any end token, and the gap behind each."""
        tokens, gaps, past, step = [], [], self.empty_past(), np.array([ids], np.int64)
        for _ in range(count):
            logits, past = self.step(step, past)
            last = logits[0, -1]
            token = int(last.argmax())
            first, second = np.partition(last, -2)[[-1, -2]]
            tokens.append(token)
            gaps.append(float(first - second))
            step = np.array([[token]], np.int64)
        return tokens, gaps


def reference(model: Path, encode, count: int, texts: list[str]) -> list[dict]:
    runtime, result = Runtime(model), []
    for text in texts:
        ids = encode(text)
        tokens, gaps = runtime.greedy(ids, count)
        result.append({"prompt": text, "ids": ids, "tokens": tokens, "gaps": gaps})
    return result


def main() -> None:
    from whit.tokens import Tokens

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=Path, required=True, help="tokenizer.json, its folder, or a GGUF file")
    parser.add_argument("--prompts", type=Path, default=HERE / "prompts.txt")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("-o", "--output", type=Path, required=True)
    o = parser.parse_args()
    tokens = Tokens(o.tokens)
    found = reference(o.model, tokens.encode, o.count, prompts(o.prompts))
    o.output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for entry in found:
        close = sum(g <= 1e-3 for g in entry["gaps"])
        print(f"{min(entry['gaps']):.5f} smallest gap, {close} of {len(entry['gaps'])} not above 0.001: "
              f"{tokens.decode(entry['tokens'])[:90]!r}")


if __name__ == "__main__":
    main()
