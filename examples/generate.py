# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Continues a text with a compiled language model: python generate.py MODEL.so TEXT. Its tokenizer.json lies beside it."""
import sys
from pathlib import Path

import whit
from whit.tokens import Stream, Tokens

artifact, text = Path(sys.argv[1]), sys.argv[2]
tokens = Tokens(artifact.parent)
session = whit.load(artifact).session()

stream = Stream(tokens)
print(text, end="")
for token in session.generate(tokens.encode(text), max_new_tokens=48, stop=[tokens.end]):
    print(stream.add(token), end="", flush=True)
print(stream.rest())
