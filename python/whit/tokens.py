# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Text to token numbers and back, and the chat form a model was trained on.

A GGUF file carries its vocabulary, merges and chat template as metadata. `write_tokenizer` stores them the way the Hugging Face
tools do (`tokenizer.json`, `tokenizer_config.json`), so that a model written by `convert_gguf` is complete beside its own files;
`Tokens` reads either of the two.
"""
from __future__ import annotations

import json
from pathlib import Path

from .errors import InvalidInputError, UnsupportedError
from .gguf import GGUF

_CONTROL, _USER_DEFINED = 3, 4  # tokenizer.ggml.token_type
_PRE_TOKENIZERS = {"smollm": {"individual_digits": True}, "gpt-2": {}, "gpt2": {}}


def tokenizer_of(gguf: GGUF):
    """The byte-level BPE tokenizer described by a GGUF file's metadata, as a `tokenizers.Tokenizer`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    model = gguf.get("tokenizer.ggml.model", str)
    pre = gguf.get("tokenizer.ggml.pre", str, "gpt-2")
    if model != "gpt2" or pre not in _PRE_TOKENIZERS:
        raise UnsupportedError(f"{gguf.path}: tokenizer '{model}' with pre-tokenizer '{pre}' is not supported; "
                               f"supported: gpt2 with {', '.join(_PRE_TOKENIZERS)}")
    names = gguf.get("tokenizer.ggml.tokens", list)
    kinds = gguf.get("tokenizer.ggml.token_type", list, [1] * len(names))
    merges = [tuple(m.split(" ", 1)) for m in gguf.get("tokenizer.ggml.merges", list)]
    if len(kinds) != len(names) or any(len(m) != 2 for m in merges):
        raise InvalidInputError(f"{gguf.path}: {len(names)} tokens with {len(kinds)} kinds, or a merge that is not a pair")
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=False))
    steps = [pre_tokenizers.Digits(individual_digits=True)] if _PRE_TOKENIZERS[pre].get("individual_digits") else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(n, normalized=False, special=True) for n, k in zip(names, kinds) if k == _CONTROL])
    tokenizer.add_tokens([AddedToken(n, normalized=False) for n, k in zip(names, kinds) if k == _USER_DEFINED])
    return tokenizer


def config_of(gguf: GGUF) -> dict:
    """What `tokenizer_config.json` holds: the special tokens by name and the chat template."""
    names, config = gguf.get("tokenizer.ggml.tokens", list), {}
    for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
        number = gguf.metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(number, int) and 0 <= number < len(names):
            config[f"{role}_token"] = names[number]
    if template := gguf.metadata.get("tokenizer.chat_template"):
        config["chat_template"] = template
    return config


def write_tokenizer(gguf: GGUF, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into `folder`."""
    tokenizer_of(gguf).save(str(folder / "tokenizer.json"))
    text = json.dumps(config_of(gguf), indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


class Tokens:
    """A tokenizer together with its stop token and chat template."""

    def __init__(self, source):
        """`source` is a `tokenizer.json`, a folder that holds one, or a GGUF file."""
        source = Path(source)
        if source.suffix == ".gguf":
            gguf = GGUF(source)
            self.tokenizer, config = tokenizer_of(gguf), config_of(gguf)
        else:
            self.tokenizer, config = self._read(source / "tokenizer.json" if source.is_dir() else source)
        end = config.get("eos_token")
        self.end = self.tokenizer.token_to_id(end["content"] if isinstance(end, dict) else end) if end else None
        self.template = config.get("chat_template")
        self.special = {k: v for k, v in config.items() if k.endswith("_token") and isinstance(v, str)}

    @staticmethod
    def _read(path: Path) -> tuple:
        from tokenizers import Tokenizer

        text = path.read_text(encoding="utf-8")
        try:
            tokenizer = Tokenizer.from_str(text)
            config = path.with_name("tokenizer_config.json")
            return tokenizer, json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
        except Exception as error:  # the package raises plain Exception
            raise InvalidInputError(f"{path}: not a tokenizer: {error}") from None

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, numbers) -> str:
        return self.tokenizer.decode(list(numbers))

    def chat(self, messages: list[dict]) -> list[int]:
        """Tokens of a conversation, ready for the model's answer. A message is {"role": ..., "content": ...}."""
        if not self.template:
            raise UnsupportedError("this tokenizer has no chat template; it should be in tokenizer_config.json as 'chat_template'")
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        try:
            return self.encode(environment.from_string(self.template).render(messages=messages, add_generation_prompt=True, **self.special))
        except TemplateError as error:
            raise InvalidInputError(f"chat template cannot be rendered: {error}") from None


class Stream:
    """Turns tokens into text piece by piece, never cutting a character that spans two tokens."""

    def __init__(self, tokens: Tokens):
        self.tokens, self.pending, self.shown = tokens, [], ""

    def add(self, token: int) -> str:
        """The text that has become certain with this token; empty while a character is incomplete."""
        self.pending.append(token)
        text = self.tokens.decode(self.pending)
        if text.endswith("\ufffd"):
            return ""
        piece = text[len(self.shown):]
        if text.endswith("\n"):  # a fresh start keeps the work per token constant
            self.pending, self.shown = [], ""
        else:
            self.shown = text
        return piece

    def rest(self) -> str:
        """What is left at the end: the bytes of a character that was never completed."""
        text = self.tokens.decode(self.pending)[len(self.shown):]
        self.pending, self.shown = [], ""
        return text
