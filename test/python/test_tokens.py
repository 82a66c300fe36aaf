# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tokenizer and chat template taken from GGUF metadata."""
import json

import pytest
from real import model_path

from whit.errors import InvalidInputError, UnsupportedError
from whit.tokens import Stream, Tokens


def test_written_tokenizer_equals_the_one_from_the_file(tiny_gguf, tiny_onnx):
    direct, written = Tokens(tiny_gguf), Tokens(tiny_onnx.parent)
    for text in ("the thin thing", "a\nthe hen", "<|start|>in"):
        assert direct.encode(text) == written.encode(text)
        assert direct.decode(direct.encode(text)) == text.replace("<|start|>", "")
    assert direct.end == written.end == 0


def test_merges_and_special_tokens(tiny_gguf):
    tokens = Tokens(tiny_gguf)
    assert [tokens.tokenizer.id_to_token(i) for i in tokens.encode("the a<|end|>")] == ["th", "e", "Ġa", "<|end|>"]


def test_chat_template(tiny_gguf):
    tokens = Tokens(tiny_gguf)
    text = tokens.tokenizer.decode(tokens.chat([{"role": "user", "content": "hi"}]), skip_special_tokens=False)
    assert text == "<|start|>hi<|end|><|start|>"


def test_broken_files_are_named(tmp_path, tiny_onnx):
    with pytest.raises(FileNotFoundError):
        Tokens(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="not a tokenizer"):
        Tokens(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(tiny_onnx.with_name("tokenizer.json").read_bytes())
    with pytest.raises(UnsupportedError, match="no chat template"):
        Tokens(tmp_path).chat([{"role": "user", "content": "hi"}])
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{% for %}"}))
    with pytest.raises(InvalidInputError, match="cannot be rendered"):
        Tokens(tmp_path).chat([{"role": "user", "content": "hi"}])


def test_stream_never_cuts_a_character():
    tokens = Tokens(model_path("smollm2.gguf"))
    for text in ("Ein Apfel kostet 3 €.\n\nDas ist 日本語 und 🙂!\n", "plain"):
        stream = Stream(tokens)
        pieces = [stream.add(t) for t in tokens.encode(text)]
        assert "".join(pieces) == text and not any("\ufffd" in p for p in pieces)


def test_smollm2_tokens():
    tokens = Tokens(model_path("smollm2.gguf"))
    # Known numbers of the published tokenizer: digits stand alone, and words carry their space.
    assert tokens.encode("What is the capital of France?") == [1780, 314, 260, 3575, 282, 4649, 47]
    assert tokens.encode("2024") == [34, 32, 34, 36]
    chat = tokens.chat([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}])
    expected = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
    assert tokens.tokenizer.decode(chat, skip_special_tokens=False) == expected
