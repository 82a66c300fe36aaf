# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""llama.cpp itself, where the package `cyllama` is installed, which holds it: logits of token ids.

Nothing needs it; long runs compare with it. Its defaults stay: caches of f16, activations rounded to 8 bits in groups of 32.
"""
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np


def is_there() -> bool:
    return importlib.util.find_spec("cyllama") is not None


class LlamaCpp:
    """A model of a GGUF file, on one thread."""

    def __init__(self, path: Path, context: int):
        from cyllama.llama import llama_cpp

        self.library = llama_cpp
        llama_cpp.disable_logging()
        options = llama_cpp.LlamaModelParams()
        options.n_gpu_layers = 0


        class Model(llama_cpp.LlamaModel):
            n_vocab = property(lambda model: model.get_vocab().n_vocab)  # which get_logits_ith asks for, and version 0.2 forgot

        self.model = Model(str(path), options, verbose=False)
        options = llama_cpp.LlamaContextParams()
        options.n_ctx = options.n_batch = options.n_ubatch = context
        options.n_threads = options.n_threads_batch = 1
        self.context = llama_cpp.LlamaContext(self.model, options, verbose=False)

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """[1, tokens, vocabulary], without anything before the first token."""
        self.context.kv_cache_clear()
        batch = self.library.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
        for i, token in enumerate(ids):
            batch.add(int(token), i, [0], True)
        assert self.context.decode(batch) == 0
        return np.array([self.context.get_logits_ith(i) for i in range(len(ids))], np.float32)[None]

    def close(self):
        self.context.close()
        self.model.close()
