# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reads GGUF files: metadata, and tensors as views of the mapped file.

The file is not trusted: every length is checked against the file's size before it is used. Only the block types that
`convert_gguf` can carry over without loss are decoded; the others keep their number, so that a caller can list them.
"""
from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InvalidInputError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_DEPTH = 4  # arrays of arrays


@dataclass(frozen=True)
class BlockType:
    """How one GGML type lies in the file: `bytes` bytes hold `elements` consecutive elements of a row."""

    name: str
    elements: int
    bytes: int


BLOCK_TYPES = {0: BlockType("F32", 1, 4), 1: BlockType("F16", 1, 2), 2: BlockType("Q4_0", 32, 18), 3: BlockType("Q4_1", 32, 20),
               8: BlockType("Q8_0", 32, 34), 30: BlockType("BF16", 1, 2)}


@dataclass(frozen=True)
class Tensor:
    """`shape` is row major (rows first); `data` holds the raw bytes as [rows, bytes of a row], or is None for an unknown type."""

    name: str
    type: str
    shape: tuple
    data: np.ndarray | None

    def values(self) -> np.ndarray:
        """Values of an unquantized tensor as f32."""
        if self.type == "F32":
            flat = self.data.view(np.float32)
        elif self.type == "F16":
            flat = self.data.view(np.float16).astype(np.float32)
        elif self.type == "BF16":
            flat = (self.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            raise InvalidInputError(f"tensor '{self.name}' has type {self.type}; F32, F16 or BF16 is required here")
        return flat.reshape(self.shape)

    def blocks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Codes [rows, blocks, 32] as unsigned bytes, scales [rows, blocks] and minima [rows, blocks], both f32.

        The value of a code is scale * code + minimum; minima are None where the code's middle (8 or 128) stands for 0.
        """
        rows = self.data.reshape(self.shape[0], -1, BLOCK_TYPES_BY_NAME[self.type].bytes)
        scales = rows[..., 0:2].copy().view(np.float16)[..., 0].astype(np.float32)
        if self.type == "Q8_0":
            return rows[..., 2:] ^ 0x80, scales, None  # signed byte + 128
        start = 4 if self.type == "Q4_1" else 2
        codes = np.concatenate([rows[..., start:] & 15, rows[..., start:] >> 4], axis=-1)
        if self.type == "Q4_0":
            return codes, scales, None
        return codes, scales, rows[..., 2:4].copy().view(np.float16)[..., 0].astype(np.float32)


BLOCK_TYPES_BY_NAME = {t.name: t for t in BLOCK_TYPES.values()}


class _Cursor:
    """A position in the mapped bytes that cannot run past their end."""

    def __init__(self, data, path):
        self.data, self.path, self.at = data, path, 0

    def take(self, size: int) -> int:
        start = self.at
        if size > len(self.data) - start:
            raise InvalidInputError(f"{self.path}: file is truncated: {size} bytes are needed at offset {start}, "
                                    f"found {len(self.data) - start}")
        self.at += size
        return start

    def number(self, code: str):
        return struct.unpack_from("<" + code, self.data, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        size = self.number("Q")
        start = self.take(size)
        try:
            return bytes(self.data[start:start + size]).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInputError(f"{self.path}: string at offset {start} is not UTF-8") from None

    def value(self, kind: int, depth: int = 0):
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth == _MAX_DEPTH:
            raise InvalidInputError(f"{self.path}: metadata value of unknown kind {kind} at offset {self.at}")
        inner, count = self.number("I"), self.number("Q")
        if inner in _SCALARS:
            item = np.dtype("<" + _SCALARS[inner])
            start = self.take(count * item.itemsize)
            return np.frombuffer(self.data, item, count, start).tolist()
        if count > len(self.data):  # every string or array takes at least one byte
            raise InvalidInputError(f"{self.path}: array of {count} entries at offset {self.at} does not fit the file")
        return [self.value(inner, depth + 1) for _ in range(count)]


class GGUF:
    """One opened file: `metadata` by key, `tensors` by name. Tensor data stays in the file until it is used."""

    def __init__(self, path):
        self.path = Path(path)
        with open(self.path, "rb") as file:
            if file.seek(0, 2) < 24:
                raise InvalidInputError(f"{path}: file is too short for a GGUF header")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        cursor = _Cursor(data, self.path)
        if data[cursor.take(4):4] != b"GGUF":
            raise InvalidInputError(f"{path}: not a GGUF file: it does not start with 'GGUF'")
        version = cursor.number("I")
        if version not in (2, 3):
            raise InvalidInputError(f"{path}: GGUF version {version} is unknown; 2 or 3 is required")
        tensors, entries = cursor.number("Q"), cursor.number("Q")
        if max(tensors, entries) > len(data):
            raise InvalidInputError(f"{path}: {tensors} tensors and {entries} metadata entries do not fit the file")
        self.metadata = {}
        for _ in range(entries):
            key = cursor.string()
            self.metadata[key] = cursor.value(cursor.number("I"))
        infos = [self._info(cursor) for _ in range(tensors)]
        align = self.metadata.get("general.alignment", 32)
        if not isinstance(align, int) or align < 1 or align & (align - 1):
            raise InvalidInputError(f"{path}: general.alignment is {align}; a power of two is required")
        base = cursor.at + -cursor.at % align
        self.tensors = {info[0]: self._tensor(data, base, *info) for info in infos}

    @staticmethod
    def _info(cursor: _Cursor) -> tuple:
        name, rank = cursor.string(), cursor.number("I")
        if not 1 <= rank <= 4:
            raise InvalidInputError(f"{cursor.path}: tensor '{name}' has rank {rank}; 1 to 4 is required")
        shape = tuple(cursor.number("Q") for _ in range(rank))[::-1]
        return name, shape, cursor.number("I"), cursor.number("Q")

    def _tensor(self, data, base: int, name: str, shape: tuple, kind: int, offset: int) -> Tensor:
        block = BLOCK_TYPES.get(kind)
        if block is None:
            return Tensor(name, f"type {kind}", shape, None)
        rows = 1
        for extent in shape[:-1]:
            rows *= extent
        if min(shape) < 1:
            raise InvalidInputError(f"{self.path}: tensor '{name}' has shape {list(shape)}; every extent must be at least 1")
        if shape[-1] % block.elements:
            raise InvalidInputError(f"{self.path}: tensor '{name}' has rows of {shape[-1]} elements; "
                                    f"a multiple of {block.elements} is required")
        row_bytes = shape[-1] // block.elements * block.bytes
        if base + offset + rows * row_bytes > len(data):
            raise InvalidInputError(f"{self.path}: file is truncated: tensor '{name}' ends at byte {base + offset + rows * row_bytes}, "
                                    f"the file at {len(data)}")
        view = np.frombuffer(data, np.uint8, rows * row_bytes, base + offset).reshape(rows, row_bytes)
        return Tensor(name, block.name, shape, view)

    def get(self, key: str, kind: type, default=None):
        """A metadata value of the wanted type; without a default it must be there."""
        value = self.metadata.get(key, default)
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            found = "nothing" if value is None else f"{type(value).__name__} '{str(value)[:40]}'"
            raise InvalidInputError(f"{self.path}: metadata '{key}' should be {kind.__name__}, found {found}")
        return value
