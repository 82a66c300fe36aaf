# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Files of parameters, good and broken: write.py FOLDER. Needs only the standard library."""
import json
import struct
import sys
import zipfile
from pathlib import Path

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
# name: (type in safetensors, in numpy, in struct, shape)
tensors = {"table": ("F32", "<f4", "f", (8, 4)), "dense": ("F32", "<f4", "f", (5, 4)), "half": ("F16", "<f2", "e", (4, 3)), "scale": ("F32", "<f4", "f", (4,))}


def count(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def values(name):
    _, _, code, shape = tensors[name]
    return struct.pack(f"<{count(shape)}{code}", *range(count(shape)))


def npz(name, method):
    with zipfile.ZipFile(out / name, "w", method) as archive:
        for key, (_, kind, _, shape) in tensors.items():
            header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
            archive.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values(key))


def safetensors(name, change=lambda header: None):
    header, data = {}, b""
    for key, (kind, _, _, shape) in tensors.items():
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(data), len(data) + len(values(key))]}
        data += values(key)
    change(header)
    text = json.dumps(header).encode()
    (out / name).write_bytes(len(text).to_bytes(8, "little") + text + data)


npz("good.npz", zipfile.ZIP_STORED)
npz("compressed.npz", zipfile.ZIP_DEFLATED)
tensors["scale"] = ("F32", "<i4", "f", (4,))
npz("kind.npz", zipfile.ZIP_STORED)
tensors["scale"] = ("F32", "<f4", "f", (4,))
safetensors("good.safetensors")
safetensors("beyond.safetensors", lambda h: h["scale"].update(data_offsets=[0, 1 << 60]))
safetensors("short.safetensors", lambda h: h["scale"].update(shape=[5]))
safetensors("shape.safetensors", lambda h: h["scale"].update(shape=[2, 2]))
safetensors("kind.safetensors", lambda h: h["scale"].update(dtype="I32"))
safetensors("spare.safetensors", lambda h: h.update(steps={**h["scale"], "dtype": "I32"}))
(out / "cut.safetensors").write_bytes((out / "good.safetensors").read_bytes()[:20])
(out / "names.json").write_text(json.dumps({"arguments": ["table", "dense", "half", "scale"]}))
(out / "other.json").write_text(json.dumps(["table", "gone"]))
