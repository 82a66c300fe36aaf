# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The conversation reads only what is new, ends where it should, and streams whole characters. The model is a script here."""
import types

import pytest

from whit.chat import Conversation, find_artifact, find_tokenizer
from whit.errors import FileError, LimitError
from whit.tokens import Tokens


class Script:
    """A session whose model says the tokens of `answers` one after another, then its end token."""

    def __init__(self, tokens: Tokens, *answers: str, context: int = 200):
        self.module = types.SimpleNamespace(context=context)
        self.end = tokens.end
        self.script = [t for answer in answers for t in [*tokens.encode(answer), self.end]]
        self.cache, self.calls = [], []

    def truncate(self, length: int) -> None:
        self.cache = self.cache[:length]

    def choose(self, step: list) -> int:
        self.cache += step
        self.calls.append(list(step))
        assert len(self.cache) <= self.module.context
        return self.script.pop(0)


@pytest.fixture
def tokens(tiny_gguf):
    return Tokens(tiny_gguf)


def test_a_second_question_reads_only_what_is_new(tokens):
    script = Script(tokens, "the hen", "a thin thing")
    talk = Conversation(script, tokens)
    assert "".join(talk.ask("hi")) == "the hen"
    first = len(script.cache)
    assert talk.speed.tokens == 1 + len(tokens.encode("the hen")) and talk.speed.prompt_tokens == len(script.calls[0])
    assert "".join(talk.ask("what")) == "a thin thing"
    said = (("user", "hi"), ("assistant", "the hen"), ("user", "what"))
    whole = tokens.chat([{"role": role, "content": content} for role, content in said])
    assert script.cache[:len(whole)] == whole
    assert talk.speed.prompt_tokens <= len(whole) - first + 1


def test_limit_ends_an_answer_and_the_talk_goes_on(tokens):
    script = Script(tokens, "a thin thing in the inn", "hen")
    talk = Conversation(script, tokens)
    text = "".join(talk.ask("hi", limit=3))
    assert talk.speed.tokens == 3 and "a thin thing in the inn".startswith(text)
    script.script = [*tokens.encode("hen"), tokens.end]
    assert "".join(talk.ask("go on")) == "hen"


def test_context_is_never_passed(tokens):
    question = len(tokens.chat([{"role": "user", "content": "hi"}]))
    script = Script(tokens, "a thin thing in the inn", context=question + 2)
    talk = Conversation(script, tokens)
    assert "a thin thing in the inn".startswith("".join(talk.ask("hi"))) and len(script.cache) == question + 2
    with pytest.raises(LimitError, match="--context"):
        list(talk.ask("and then"))


def test_system_message_comes_first(tokens):
    script = Script(tokens, "a")
    list(Conversation(script, tokens, "be thin").ask("hi"))
    assert script.calls[0] == tokens.chat([{"role": "system", "content": "be thin"}, {"role": "user", "content": "hi"}])


def test_files_are_found_or_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    with pytest.raises(FileError, match="smollm2.so: no such file; make it with"):
        find_artifact(Path("smollm2.so"))
    made = tmp_path / "whit/smollm2/smollm2.so"
    made.parent.mkdir(parents=True)
    made.touch()
    assert find_artifact(Path("smollm2.so")) == made
    with pytest.raises(FileError, match="--tokenizer"):
        find_tokenizer(made)
