# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A conversation with a compiled language model, its answer streamed as it comes; always the most probable token."""
from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from .errors import FileError, LimitError, UsageError
from .tokens import Stream, Tokens


# Small models ramble, and lean on the last digit of a logit: asked for the capital of France after the system message of its own
# template, SmolLM2-135M finds "The" and "L'" 0.08 apart; after this one, "The" leads by 1.5.
SYSTEM = "Answer briefly, in plain English."


@dataclass
class Speed:
    """What one answer took. The first token belongs to the prompt: it comes out of the same call."""

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def prompt_rate(self) -> float:
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds else 0.0

    @property
    def rate(self) -> float:
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds else 0.0

    def __str__(self) -> str:
        return (f"prompt {self.prompt_tokens} tokens at {self.prompt_rate:.0f} tokens/s, "
                f"answer {self.tokens} tokens at {self.rate:.0f} tokens/s")


class Conversation:
    """Messages so far and the session that has read them. Only what a new message adds is computed."""

    def __init__(self, session, tokens: Tokens, system: str | None = None):
        self.session, self.tokens = session, tokens
        self.messages = [] if system is None else [{"role": "system", "content": system}]
        self.read: list[int] = []  # tokens in the caches
        self.speed = Speed()

    def ask(self, text: str, limit: int = 512) -> Iterator[str]:
        """Pieces of the answer to `text`. Ends at the model's end token, after `limit` tokens, or when the context is full."""
        messages = [*self.messages, {"role": "user", "content": text}]
        step = self.tokens.chat(messages)
        context = self.session.module.context
        if len(step) >= context:
            raise LimitError(f"the conversation has {len(step)} tokens, the context {context}; "
                             "compile with a larger --context or start anew")
        known = next((i for i, (a, b) in enumerate(zip(step, self.read)) if a != b), min(len(step), len(self.read)))
        known = min(known, len(step) - 1)  # at least one token must be read to get logits
        self.session.truncate(known)
        self.read, step = self.read[:known], step[known:]
        stream, answer, self.speed = Stream(self.tokens), "", Speed(prompt_tokens=len(step))
        while self.speed.tokens < limit and len(self.read) + len(step) <= context:
            start = time.perf_counter()
            token = self.session.choose(step)
            self.read += step
            elapsed = time.perf_counter() - start
            if self.speed.tokens:
                self.speed.seconds += elapsed
            else:
                self.speed.prompt_seconds = elapsed
            self.speed.tokens += 1
            if token == self.tokens.end:
                break
            step = [token]
            if piece := stream.add(token):
                answer += piece
                yield piece
        if piece := stream.rest():
            answer += piece
            yield piece
        self.messages = [*messages, {"role": "assistant", "content": answer}]


def find_artifact(name: Path) -> Path:
    """The artifact by its path, or by its name if the demo has made it in the cache folder."""
    from .demo import cache_folder

    if name.exists():
        return name
    cached = cache_folder() / name.stem / name.name
    if name.parent == Path(".") and cached.exists():
        return cached
    raise FileError(f"{name}: no such file; make it with: whit-compile MODEL -o {name}, or python -m whit demo")


def find_tokenizer(artifact: Path) -> Path:
    path = artifact.parent / "tokenizer.json"
    if not path.exists():
        raise FileError(f"{path}: no such file; name a tokenizer.json or a GGUF file with --tokenizer")
    return path


def print_answer(conversation: Conversation, text: str, limit: int, prefix: str = "") -> None:
    """Streams the answer to stdout. Ctrl-C ends the answer, not the program."""
    print(prefix, end="", flush=True)
    try:
        for piece in conversation.ask(text, limit):
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        print(" ...", end="")
    print(flush=True)


def chat(artifact: Path, tokenizer: Path | None = None, system: str = SYSTEM, prompt: str | None = None, limit: int = 512,
         threads: int = 0, trust: bool = False) -> None:
    """Talk on the terminal until end of input; with `prompt`, ask that one question and return.

    `system` is the system message; empty leaves it to the model's template.
    """
    from .module import load

    artifact = find_artifact(artifact)
    module = load(artifact, trust=trust)
    if not module.context:
        raise UsageError(f"{artifact}: not a language model with caches; run it with: python -m whit run")
    conversation = Conversation(module.session(threads), Tokens(tokenizer or find_tokenizer(artifact)), system or None)
    if prompt is not None:
        print_answer(conversation, prompt, limit)
        print(conversation.speed, file=sys.stderr)
        return
    terminal = sys.stdin.isatty()
    if terminal:
        print(f"{artifact.name} on {module.target}, context {module.context}; end with Ctrl-D", file=sys.stderr)
        try:
            import readline  # noqa: F401  line editing and history
        except ImportError:
            pass
    while True:
        try:
            text = input("> " if terminal else "").strip()
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return
        if text:
            print_answer(conversation, text, limit)
            if terminal:
                print(f"\x1b[2m{conversation.speed}\x1b[0m", file=sys.stderr)
