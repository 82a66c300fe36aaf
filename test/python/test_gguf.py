# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The GGUF reader against the `gguf` package, and against files that lie."""
import struct

import gguf
import numpy as np
import pytest
from tiny import BLOCK, write_llama

from whit.errors import InvalidInputError, WhitError
from whit.gguf import GGUF


@pytest.mark.parametrize("kind", [BLOCK.Q4_0, BLOCK.Q4_1, BLOCK.Q8_0])
def test_blocks_decode_as_the_gguf_package_does(tmp_path, kind):
    path = write_llama(tmp_path / "m.gguf", matrix=kind)
    ours = GGUF(path)
    for theirs in gguf.GGUFReader(str(path)).tensors:
        tensor = ours.tensors[theirs.name]
        expected = gguf.dequantize(theirs.data, theirs.tensor_type)
        if tensor.type.startswith("Q"):
            codes, scales, minima = tensor.blocks()
            middle = 0 if minima is not None else 128 if tensor.type == "Q8_0" else 8
            values = scales[..., None] * (codes.astype(np.float32) - middle) + (0 if minima is None else minima[..., None])
            np.testing.assert_array_equal(values.reshape(tensor.shape), expected)
        else:
            np.testing.assert_array_equal(tensor.values(), expected)


@pytest.mark.parametrize("kind", [BLOCK.F16, BLOCK.BF16])
def test_plain_types(tmp_path, kind):
    path = write_llama(tmp_path / "m.gguf", types={"output_norm.weight": kind})
    expected = next(t for t in gguf.GGUFReader(str(path)).tensors if t.name == "output_norm.weight")
    np.testing.assert_array_equal(GGUF(path).tensors["output_norm.weight"].values(), gguf.dequantize(expected.data, expected.tensor_type))


def test_metadata_matches_the_gguf_package(tiny_gguf):
    theirs = {k: f.contents() for k, f in gguf.GGUFReader(str(tiny_gguf)).fields.items() if not k.startswith("GGUF.")}
    assert GGUF(tiny_gguf).metadata == theirs


def test_truncation_anywhere_is_an_error(tiny_gguf, tmp_path):
    whole, cut = tiny_gguf.read_bytes(), tmp_path / "cut.gguf"
    for length in [*range(0, 200), *range(200, len(whole) - 31, 997)]:  # the last 31 bytes may be padding
        cut.write_bytes(whole[:length])
        with pytest.raises(WhitError, match="truncated|too short|do not fit|does not fit"):
            GGUF(cut)


def test_flipped_bytes_never_escape_as_other_exceptions(tiny_gguf, tmp_path):
    whole, random, file = tiny_gguf.read_bytes(), np.random.default_rng(1), tmp_path / "flipped.gguf"
    header = whole.index(b"blk.1.ffn_norm") + 60
    for _ in range(400):
        data = bytearray(whole)
        for at in random.integers(0, header, 3):
            data[at] = random.integers(0, 256)
        file.write_bytes(data)
        try:
            GGUF(file)
        except WhitError:
            pass


def test_header_is_checked(tmp_path):
    file = tmp_path / "x.gguf"
    for text, message in ((b"GGML" + bytes(40), "does not start with"), (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9 is unknown"),
                          (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "do not fit")):
        file.write_bytes(text)
        with pytest.raises(InvalidInputError, match=message):
            GGUF(file)


def test_metadata_of_another_kind_is_named(tiny_gguf):
    with pytest.raises(InvalidInputError, match="'llama.block_count' should be str, found int '2'"):
        GGUF(tiny_gguf).get("llama.block_count", str)
    with pytest.raises(InvalidInputError, match="'llama.nothing' should be int, found nothing"):
        GGUF(tiny_gguf).get("llama.nothing", int)
