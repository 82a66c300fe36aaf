# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The first rows of all arrays of an .npz file, for machines without numpy."""

import ast
import struct
import zipfile


def split(data):
    """(header as a dictionary, the elements' bytes) of an .npy file."""
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2):
        raise ValueError("not an .npy file of version 1 or 2")
    size, at = (struct.unpack("<H", data[8:10])[0], 10) if data[6] == 1 else (struct.unpack("<I", data[8:12])[0], 12)
    return ast.literal_eval(data[at:at + size].decode("latin-1")), data[at + size:]


def join(header, body):
    text = repr(header).encode("latin-1")
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def take_rows(source, target, rows):
    """Copies `source` to `target` with no more than `rows` rows in each array."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in given.namelist():
            header, body = split(given.read(name))
            shape = header["shape"]
            if header["fortran_order"] or not shape or shape[0] < rows:
                raise ValueError(f"{source}: {name} has shape {shape}; {rows} rows in C order are required")
            header["shape"] = (rows, *shape[1:])
            made.writestr(name, join(header, body[:len(body) // shape[0] * rows]))
