# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Number formats, as the compiler and the runtime have them.

    format = whit.Format("nvfp4")                        # a name, an alias ("gguf:12"), or a formula
    format = whit.Format("float<e3m2> * e8m0/64")
    format.name, format.formula, format.bits_per_weight(4096, 4096)
    stored = format.quantize(weights)                    # float32, rows x columns; least squares unless quantizer="nearest"
    stored.codes, stored.scales, stored.offsets          # what is stored, as numpy arrays
    weights_again = stored.dequantize()                  # the bits that decoding gives everywhere
    blob = stored.tobytes()                              # packed as in an artifact; format.frombytes(blob, shape) reads it

`whit.formats()` lists what there is; docs/adding-a-format.md says how formulas are read.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import FileError, InvalidInputError, UsageError

try:
    from . import _formats
except ImportError as error:  # the package also works from a source tree in which nothing is built yet
    raise FileError(f"the native part of the package cannot be loaded ({error}); build it with: ./dev build") from error


@dataclass(frozen=True)
class FormatRow:
    """A row of the table: `name` ends in `_gN` where the size of groups is chosen; `aliases` are what others call it."""

    name: str
    formula: str
    aliases: tuple
    source: str


def formats() -> list:
    """All named formats, in the order of the table; then those of `add_formats`."""
    return [FormatRow(name, formula, tuple(alias.split("=")[0] for alias in aliases.split()), source)
            for name, formula, aliases, source in _formats.rows()]


def add_formats(text: str) -> None:
    """Gives names to formulas: `text` is what a --formats-file of the tools has."""
    try:
        _formats.add(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


class Quantized:
    """A matrix in a format. Made by `Format.quantize` and `Format.frombytes`."""

    def __init__(self, format: "Format", native):
        self.format, self._native = format, native

    @property
    def shape(self) -> tuple:
        return tuple(self._native.shape)

    @property
    def codes(self) -> list:
        """The codes of each term of the formula, uint8, rows x columns. Plain formats have none."""
        return self._native.codes()

    @property
    def scales(self) -> list:
        """For each term the numbers of each factor of its scale, rows x blocks."""
        return self._native.scales()

    @property
    def offsets(self) -> list:
        """The numbers of each factor of the zero point or minimum, rows x blocks."""
        return self._native.offsets()

    def dequantize(self) -> np.ndarray:
        return self._native.values()

    def tobytes(self) -> bytes:
        """Packed as in an artifact: panels of 16 rows, scales beside their codes."""
        return self._native.pack()

    def __repr__(self) -> str:
        return f"<{self.shape[0]} x {self.shape[1]} in {self.format.name}>"


class Format:
    """A number format, by its name, an alias or its formula. Two formats are equal if they store the same."""

    def __init__(self, name: str):
        try:
            self._native = _formats.Encoding.parse(name)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def name(self) -> str:
        return self._native.name

    @property
    def formula(self) -> str:
        return self._native.formula

    def bits_per_weight(self, n: int, k: int) -> float:
        """Codes and scales of an n x k matrix, without padding."""
        return self._native.bits_per_weight(n, k)

    def quantize(self, array, quantizer: str = "least-squares") -> Quantized:
        array = np.ascontiguousarray(array, dtype=np.float32)
        if array.ndim != 2:
            raise InvalidInputError(f"found an array of {array.ndim} dimensions; weights to quantize have rows and columns")
        try:
            return Quantized(self, self._native.quantize(array, quantizer))
        except ValueError as error:
            raise InvalidInputError(str(error)) from None

    def dequantize(self, stored: Quantized) -> np.ndarray:
        return stored.dequantize()

    def frombytes(self, data: bytes, shape: tuple) -> Quantized:
        """Reads what `Quantized.tobytes` gave for a matrix of `shape`."""
        try:
            return Quantized(self, self._native.unpack(bytes(data), *shape))
        except ValueError as error:
            raise InvalidInputError(str(error)) from None

    def __eq__(self, other) -> bool:
        return isinstance(other, Format) and self._native == other._native

    def __hash__(self) -> int:
        return hash(self.formula)

    def __repr__(self) -> str:
        return f"whit.Format({self.name!r})"
