# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes goldens.txt: what other people's implementations make of the number formats of Whit.

    python test/runtime/encoding/goldens.py > test/runtime/encoding/goldens.txt

Needs numpy, ml_dtypes, gguf, onnx and onnxruntime. One golden a line: `kind key=value ...`, byte strings in hexadecimal, little-endian.
  conversion   CRC-32 of the results of converting every 16-bit code to f32, and a long list of f32 values to 16 bits (numpy, ml_dtypes)
  blocks       MatMulNBits initializers and the weights ONNX Runtime computes with, found by multiplying with the identity
  gguf         GGUF blocks and their values (gguf)
  quantized    a matrix and its nearest codes, scales and zeros, computed here in numpy from the text of Formats.def
  quantizer    a matrix and what ONNX Runtime's own quantizer for MatMulNBits makes of it
"""

import zlib

import gguf
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(7)


def golden(kind, **values):
    def show(value):
        if isinstance(value, np.ndarray):
            return np.ascontiguousarray(value).tobytes().hex()
        return str(value)

    print(kind, *(f"{key}={show(value)}" for key, value in values.items()))


def crc(array):
    return f"{zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"


def conversion(name, dtype):
    codes = np.arange(65536, dtype=np.uint16)
    wide = codes.view(dtype).astype(np.float32)
    wide[np.isnan(wide)] = np.uint32(0x7FC00000).view(np.float32)
    golden("conversion", name=name, direction="decode", crc=crc(wide))
    # Every code's value, its neighbours in f32, the midpoint to the next code and that midpoint's neighbours; then a stride through all of f32.
    finite = wide[np.isfinite(wide)].view(np.uint32)
    shift = 13 if name == "f16" else 16
    half = np.uint32(1 << (shift - 1))
    near = np.concatenate([finite + np.uint32(d) for d in (-1 & 0xFFFFFFFF, 0, 1)] + [finite + half + np.uint32(d) for d in (-1 & 0xFFFFFFFF, 0, 1)])
    bits = np.concatenate([near, (np.arange(1 << 20, dtype=np.uint64) * 65537 % (1 << 32)).astype(np.uint32)])
    bits = bits[~np.isnan(bits.view(np.float32))]
    with np.errstate(over="ignore"):
        narrow = bits.view(np.float32).astype(dtype).view(np.uint16)
    golden("conversion", name=name, direction="encode", count=len(bits), crc=crc(narrow))


def pack_stream(codes, bits):
    """Little-endian stream along the last axis."""
    planes = (codes[..., None] >> np.arange(bits)) & 1
    flat = planes.reshape(*codes.shape[:-1], -1).astype(np.uint8)
    pad = -flat.shape[-1] % 8
    return np.packbits(np.pad(flat, [(0, 0)] * (flat.ndim - 1) + [(0, pad)]), axis=-1, bitorder="little")


def blocks(bits, block, n, k, zero):
    count = -(-k // block)
    codes = rng.integers(0, 1 << bits, (n, count, block), dtype=np.uint8)
    scales = rng.normal(0, 0.1, (n, count)).astype(np.float32)
    stored = {"codes": pack_stream(codes, bits), "scales": scales}
    names = ["a", "codes", "scales"]
    if zero == "packed":
        stored["zeros"] = pack_stream(rng.integers(0, 1 << bits, (n, count), dtype=np.uint8), bits)
        names.append("zeros")
    elif zero == "float":
        stored["zeros"] = rng.uniform(0, (1 << bits) - 1, (n, count)).astype(np.float32)
        names.append("zeros")
    node = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", K=k, N=n, bits=bits, block_size=block, accuracy_level=0)
    graph = helper.make_graph(
        [node],
        "golden",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [k, k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [k, n])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"a": np.eye(k, dtype=np.float32)})
    golden("blocks", bits=bits, block=block, n=n, k=k, zero=zero, **stored, values=y.T + np.float32(0))


def gguf_blocks(name, kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (3, size), dtype=np.uint8)
    data[:, 0:2] = np.array([[0.0371], [-0.5], [6e-6]], dtype=np.float16).view(np.uint8).reshape(3, 2)
    if name.endswith("_1"):
        data[:, 2:4] = np.array([[-0.31], [0.25], [1.5]], dtype=np.float16).view(np.uint8).reshape(3, 2)
    golden("gguf", name=name, bytes=data, values=gguf.quants.dequantize(data.reshape(-1), kind).astype(np.float32))


def quantized(name, bits, zero, group, n, k):
    f32, f16 = np.float32, np.float16
    w = (rng.normal(0, 0.05, (n, k)) * rng.choice([1, 8], (n, k), p=[0.95, 0.05])).astype(f32)
    w[0, : min(group, k)] = 0
    count = -(-k // group)
    levels = f32((1 << bits) - 1)
    codes = np.zeros((n, k), np.uint8)
    scales = np.zeros((n, count), f32)
    zeros = np.zeros((n, count), f32)
    for row in range(n):
        for g in range(count):
            part = w[row, g * group : (g + 1) * group]
            low, high = min(part.min(), f32(0)), max(part.max(), f32(0))
            if zero == "constant":
                s = f32(f16(part[np.argmax(np.abs(part))] / f32(-(1 << (bits - 1)))))
                q = np.rint(part / s) + f32(1 << (bits - 1)) if s else np.full_like(part, 1 << (bits - 1))
                z = f32(0)
            else:
                s = f32(f16((high - low) / levels))
                if zero == "integer":
                    z = np.clip(np.rint(-low / s), f32(0), levels) if s else f32(0)
                    q = np.rint(part / s) + z if s else np.zeros_like(part) + z
                elif zero == "float":
                    z = f32(f16(-low / s)) if s else f32(0)
                    q = np.rint(part / s + z) if s else np.zeros_like(part)
                else:
                    z = f32(f16(low))
                    q = np.rint((part - z) / s) if s else np.zeros_like(part)
            codes[row, g * group : (g + 1) * group] = np.clip(q, 0, levels).astype(np.uint8)
            scales[row, g], zeros[row, g] = s, z
    golden("quantized", name=name, n=n, k=k, w=w, codes=codes, scales=scales, zeros=zeros)


def quantizer(bits, symmetric, block, n, k):
    w = rng.normal(0, 0.05, (n, k)).astype(np.float32)
    count = -(-k // block)
    codes = np.zeros((n, count, block * bits // 8), np.uint8)
    scales = np.zeros(n * count, np.float32)
    zeros = np.zeros(n * -(-count * bits // 8), np.uint8)
    quantize = getattr(onnxruntime.capi._pybind_state, f"quantize_matmul_{bits}bits")
    quantize(codes, np.ascontiguousarray(w.T), scales, zeros, block, n, k, symmetric)
    stored = {"codes": codes, "scales": scales} | ({} if symmetric else {"zeros": zeros})
    golden("quantizer", bits=bits, block=block, n=n, k=k, w=w, **stored)


def main():
    print("# Written by goldens.py with numpy", np.__version__, "onnxruntime", onnxruntime.__version__)
    conversion("f16", np.float16)
    conversion("bf16", ml_dtypes.bfloat16)
    for bits in (2, 4, 8):
        for zero in ("absent", "packed", "float"):
            if bits != 4 and zero == "float":  # ONNX Runtime has it for 4 bits only
                continue
            blocks(bits, 32, 5, 70, zero)
    for name in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0"):
        gguf_blocks(name, gguf.GGMLQuantizationType[name.upper()])
    for bits in range(1, 9):
        quantized(f"int{bits}_g5", bits, "constant", 5, 3, 13)
        quantized(f"uint{bits}_g5", bits, "integer", 5, 3, 13)
        quantized(f"uint{bits}_g5_float", bits, "float", 5, 3, 13)
        quantized(f"uint{bits}_g5_min", bits, "minimum", 5, 3, 13)
    for bits in (2, 4, 8):
        quantizer(bits, True, 32, 3, 70)
        quantizer(bits, False, 32, 3, 70)


main()
