# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes gguf_goldens.txt: the CRC-32 of what the `gguf` package makes of pseudo-random blocks of each GGUF type that Whit reads.

    python test/runtime/encoding/gguf_goldens.py > test/runtime/encoding/gguf_goldens.txt

One type a line: its number, its name, the bytes of a block where 16-bit floats lie (and must be finite), and the CRC-32 of the f32
values of 64 blocks, zeros made positive. Byte i of the blocks is the highest of x[i+1] = 6364136223846793005 x[i] + 1442695040888963407,
modulo 2^64, with x[0] the number of the type.
"""

import zlib

import gguf
import numpy as np

BLOCKS = 64
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
    "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}  # fmt: skip


def blocks(kind, halves):
    state, found = kind.value, bytearray()
    size = gguf.GGML_QUANT_SIZES[kind][1]
    for _ in range(BLOCKS * size):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        found.append(state >> 56)
    data = np.frombuffer(bytes(found), np.uint8).reshape(BLOCKS, size).copy()
    for at in halves:
        data[:, at + 1] &= 0xBF
    if kind.name == "MXFP4":  # 255 is no number
        data[:, 0] &= 0xFE
    return data


print("# Written by gguf_goldens.py with gguf", __import__("importlib.metadata").metadata.version("gguf"))
for name, halves in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    values = gguf.quants.dequantize(blocks(kind, halves).reshape(-1), kind).astype(np.float32) + np.float32(0)
    print(kind.value, name.lower(), ",".join(map(str, halves)) or "-", f"{zlib.crc32(values.tobytes()):08x}")
