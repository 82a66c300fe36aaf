# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Loading and running compiled models.

A `Module` is a loaded artifact and has no state; calling it is the same as calling a function, also from several threads. A `Session`
keeps a language model's caches between calls and belongs to one thread at a time. Arrays come in as numpy arrays, as anything with
`__dlpack__` (no copy when they lie in memory, contiguous), or as plain numbers and lists; they come out as numpy arrays. bf16 travels
as its 16 bits.
"""
from __future__ import annotations

import json
import math
import os
import threading
from dataclasses import dataclass
from typing import Iterable, Iterator

import numpy as np

from .errors import FileError, InvalidInputError, UsageError

try:
    from . import _runtime
except ImportError as error:  # the package also works from a source tree in which nothing is built yet
    raise FileError(f"the native part of the package cannot be loaded ({error}); build it with: ./dev build") from error

_NUMPY_NAMES = {"bool": "bool", "bf16": "uint16"}


def _numpy_dtype(name: str) -> np.dtype:
    kind, bits = {"f": "float", "i": "int", "u": "uint"}.get(name[0]), name[1:]
    return np.dtype(_NUMPY_NAMES.get(name) or f"{kind}{bits}")


@dataclass(frozen=True)
class Value:
    """One input or output: `shape` holds numbers, and names where the size is chosen by the call."""

    name: str
    dtype: str
    shape: tuple
    is_state: bool = False

    @property
    def numpy_dtype(self) -> np.dtype:
        return _numpy_dtype(self.dtype)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Weight:
    """One constant of an artifact: `format` as `whit.Format` takes it (the element type of plain tensors), `layout` "panel16" where it is
    packed and "" where it is not, `bytes` as packed. Several weights of the model may be joined into one."""

    name: str
    shape: tuple
    format: str
    layout: str
    bytes: int

    @property
    def bits_per_weight(self) -> float:
        """With scales, zeros and padding."""
        return 8 * self.bytes / (math.prod(self.shape) or 1)


def _weights(manifest: dict) -> list[Weight]:
    return [Weight(a["name"], tuple(a["logical"]), a["format"] or a["dtype"], a["place"],
                   math.prod(a["shape"]) * _numpy_dtype(a["dtype"]).itemsize) for a in manifest["arguments"] if a["kind"] == "constant"]


_NEXT_TOKENS = "whit.next_tokens"


def _step(tokens: Iterable[int]) -> list[int]:
    step = [int(t) for t in tokens]
    if not step:
        raise UsageError("no tokens are given; at least one is required")
    return step


def _array(value: Value, given):
    """`given` as something the native part can borrow: contiguous, in memory, numbers and lists in the model's own type."""
    if isinstance(given, np.ndarray):
        array = given
    elif hasattr(given, "__dlpack__"):
        return given
    elif isinstance(given, (int, float, bool, list, tuple, np.generic)):
        array = np.asarray(given, value.numpy_dtype)
    else:
        raise InvalidInputError(f"input '{value.name}' is a {type(given).__name__}; an array, a list or a number is required")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def inspect(path) -> dict:
    """The manifest of an artifact: signature, formats, variants. Maps no code, so the file need not be trusted."""
    return json.loads(_runtime.inspect(os.fspath(path)))


def weights(path) -> list[Weight]:
    """What an artifact stores its weights in. Maps no code."""
    return _weights(inspect(path))


def trust(path) -> None:
    """Let this user load the artifact from here on, as if it were an executable of his own."""
    _runtime.trust(os.fspath(path))


def runtime_version() -> str:
    return _runtime.version()


def load(path, trust: bool = False, verify: str = "lazy", target: str | None = None, device: str | None = None) -> Module:
    """Load an artifact.

    Code is mapped only if its hash is in the user's trust store, where `whit.compile` puts what it makes, or with `trust=True`, which is
    as good as running an unknown program. `verify="full"` reads and checks all weights at once instead of before their first use.
    `target` chooses one of the artifact's variants by name; else the best one that this CPU can run is taken. `device` is where sessions
    run: "cuda:0", "hip:0", or the simulator of an architecture, "sim:sm_80"; without it on the CPU. Sessions take turns on a device.
    """
    if verify not in ("lazy", "full"):
        raise UsageError(f"verify is '{verify}'; 'lazy' or 'full' is required")
    return Module(_runtime.Module.load(os.fspath(path), trust, verify == "full", target, device))


class Module:
    """A loaded artifact."""

    def __init__(self, handle, keep=None):
        self._handle = handle
        self._keep = keep  # a temporary folder that the artifact lives in
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self.inputs = [Value(*row) for row in handle.inputs()]
        self.outputs = [Value(*row) for row in handle.outputs()]

    @property
    def manifest(self) -> dict:
        return json.loads(self._handle.manifest)

    @property
    def weights(self) -> list[Weight]:
        """What each weight is stored in: format, layout, bytes, bits per weight."""
        return _weights(self.manifest)

    @property
    def target(self) -> str:
        """The variant in use."""
        return self._handle.target

    @property
    def context(self) -> int:
        """How many tokens a session's caches hold; 0 for a model without caches."""
        return self._handle.context

    def session(self, threads: int = 0) -> Session:
        """A session of its own; `threads=0` takes one for each core this process may use. Results do not depend on it."""
        return Session(self, threads)

    def run(self, inputs: dict, outputs: Iterable[str] | None = None) -> dict:
        """All outputs, or those named, for `inputs` by name. Nothing is kept between calls: past tensors that are not given are empty."""
        with self._lock:
            session = self._idle.pop() if self._idle else Session(self, 0)
        try:
            if self.context:
                session.truncate(0)
            return session.run(inputs, [v.name for v in self.outputs] if outputs is None else outputs)
        finally:
            with self._lock:
                self._idle.append(session)

    def __call__(self, **inputs) -> dict:
        return self.run(inputs)

    def __repr__(self) -> str:
        lines = [f"<whit.Module for {self.target}", *(f"  in  {v}" for v in self.inputs if not v.is_state),
                 *(f"  out {v}" for v in self.outputs if not v.is_state)]
        return "\n".join(lines) + ">"


class Session:
    """A module with its own caches, buffers and threads."""

    def __init__(self, module: Module, threads: int = 0):
        if threads < 0:
            raise UsageError(f"threads is {threads}; 0 or more is required")
        self.module = module
        self._handle = _runtime.Session(module._handle, threads)
        self._inputs = {v.name: v for v in module.inputs}
        self._aliases = {a["alias"]: a["name"] for a in module.manifest["arguments"] if "alias" in a and a["kind"] == "input"}

    def _named(self, arrays: dict) -> list:
        # The runtime knows aliases itself, and says so where an input is given under both names.
        values = self._inputs | {alias: self._inputs[name] for alias, name in self._aliases.items()}
        unknown = [name for name in arrays if name not in values]
        if unknown:
            known = ", ".join(name for name, v in self._inputs.items() if not v.is_state)
            raise InvalidInputError(f"the model has no input '{unknown[0]}'; its inputs are {known}")
        return [(name, _array(values[name], array)) for name, array in arrays.items()]

    def run(self, inputs: dict, outputs: Iterable[str] | None = None) -> dict:
        """Outputs by name. The caches grow by what was given, and stay; past tensors, when given, replace them first.

        Without `outputs` the caches themselves (present tensors) are left out; name them to get copies.
        """
        self._handle.run(self._named(inputs))
        names = [v.name for v in self.module.outputs if not v.is_state] if outputs is None else outputs
        return {name: self._handle.output(name) for name in names}

    def __call__(self, **inputs) -> dict:
        return self.run(inputs)

    def reserve(self, **dims: int) -> None:
        """Make room now for calls with these symbolic dimensions, so that none of them allocates."""
        self._handle.reserve(list(dims.items()))

    def set_dim(self, name: str, value: int | None) -> None:
        """Fix a dimension that has a default, as "whit.last_rows"; None returns to the default."""
        self._handle.set_dim(name, -1 if value is None else value)

    @property
    def length(self) -> int:
        """Tokens in the caches."""
        return self._handle.length

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`."""
        self._handle.truncate(length)

    def load_state(self, pasts: dict) -> None:
        """Fill the caches from past tensors by name, all of them."""
        self._handle.load_state(self._named(pasts))

    def append(self, tokens: Iterable[int]) -> np.ndarray:
        """Add tokens to the caches of a language model; returns the logits after the last one."""
        return self._handle.append(_step(tokens))

    def choose(self, tokens: Iterable[int]) -> int:
        """Add tokens to the caches of a language model; returns the most probable one after the last, the first of equals.

        A model compiled with `--choose-tokens` chooses it where the logits are, so that these need not leave a device.
        """
        if _NEXT_TOKENS not in (value.name for value in self.module.outputs):
            logits = self.append(tokens)
            token = -1 if np.isnan(logits).any() else int(logits.argmax())
        else:
            self._handle.advance(_step(tokens))
            token = int(self._handle.output(_NEXT_TOKENS)[-1, -1])
        if token < 0:
            raise InvalidInputError("a logit after the last token is NaN")
        return token

    def generate(self, prompt_ids: Iterable[int], max_new_tokens: int, stop: Iterable[int] = ()) -> Iterator[int]:
        """Yields the best next token, one after another, after the tokens that the caches hold and then `prompt_ids`.

        Ends after `max_new_tokens`, at a token in `stop` (which is not yielded), or when the context is full. What was yielded is in
        the caches, except the last token.
        """
        step, stop = list(prompt_ids), frozenset(stop)
        for _ in range(max_new_tokens):
            if self.length + len(step) > self.module.context and self.length:
                return
            token = self.choose(step)
            if token in stop:
                return
            yield token
            step = [token]

    def profile(self, path) -> _Profile:
        """Records the time of every region inside a `with` block and writes them to `path` in Chrome's trace format."""
        return _Profile(self._handle, os.fspath(path))


class _Profile:
    def __init__(self, handle, path: str):
        self._handle, self._path = handle, path

    def __enter__(self):
        self._handle.profile_start()

    def __exit__(self, *error):
        self._handle.profile_stop(self._path)
