# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes goldens.txt: what other people's implementations make of the number formats of Whit.

    python test/runtime/encoding/goldens.py > test/runtime/encoding/goldens.txt

Needs numpy, ml_dtypes, gguf, onnx and onnxruntime. One golden a line: `kind key=value ...`, byte strings in hexadecimal, little-endian.
  conversion   CRC-32 of the results of converting every 16-bit code to f32, and a long list of f32 values to 16 bits (numpy, ml_dtypes)
  blocks       MatMulNBits initializers and the weights ONNX Runtime computes with, found by multiplying with the identity
  exhaustive   CRC-32 of all codes (columns) under all codes of the smallest scale (rows) of a format, by ml_dtypes, gguf and numpy; what the
               other factors are is said at `exhaustive` there. NaN is 7fc00000 and zeros are +0
  ggml         blocks of ggml with several factors, taken apart here, and their values (gguf)
  sparse       a matrix and which two of each four of it are kept, by the formulas of torch/sparse/_semi_structured_conversions.py
  fairy2       a real matrix, the codes of U and V, their scales, and what both together do to each unit vector in complex arithmetic
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


F32, F16 = np.float32, np.float16
OUTER = {"f16": np.uint16(0x2E66).view(F16).astype(F32), "f32": F32(0.0123)}  # of a scale; that of a minimum is 0x2A66
OUTER_MINIMUM = np.uint16(0x2A66).view(F16).astype(F32)


def ue5m3(code):
    exponent, fraction = code >> 3, code & 7
    value = np.where(exponent == 0, np.ldexp(F32(1) * fraction, -17), np.ldexp(F32(8) + fraction, exponent - 18)).astype(F32)
    return np.where(code == 255, F32(np.nan), value)


def stored(kind, code):
    """The number that a code of a scale means."""
    code = np.asarray(code)
    if kind == "f16":
        return code.astype(np.uint16).view(F16).astype(F32)
    if kind == "e8m0":
        return code.astype(np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(F32)
    if kind == "e4m3":
        return (code & 0x7F).astype(np.uint8).view(ml_dtypes.float8_e4m3fn).astype(F32)
    if kind == "ue5m3":
        return ue5m3(code)
    if kind == "shift":
        return np.ldexp(F32(1), -code).astype(F32)
    bits = int(kind[1:])
    return (code - (1 << (bits - 1) if kind[0] == "i" else 0)).astype(F32)


def width(kind):
    return {"f16": 16, "e8m0": 8, "e4m3": 8, "ue5m3": 8, "shift": 8}.get(kind) or int(kind[1:])


def small(dtype):
    """All numbers of a type of ml_dtypes, or of sign, exponent and fraction without infinities where it has none such."""
    if not isinstance(dtype, tuple):
        bits = ml_dtypes.finfo(dtype).bits
        return np.arange(1 << bits, dtype=np.uint8).view(dtype).astype(F32)
    exponents, fractions = dtype
    values = []
    for code in range(1 << (exponents + fractions)):
        e, f = code >> fractions, code & ((1 << fractions) - 1)
        bias = (1 << (exponents - 1)) - 1
        values.append((f / 2**fractions if e == 0 else 1 + f / 2**fractions) * 2.0 ** (max(e, 1) - bias))
    return np.array(values + [-v for v in values], F32)


def exhaustive(name, planes, scale, outer=None, zero=None, minimum=None, minimum_outer=False, sparse=False):
    """Row r: plane t has the scale of code r * step * (2 t + 1) + 1000 t, a zero or minimum the code 3 r step + 1 (floats of 16 bits:
    7 r step + 11), a choice table r mod 4. Column j: plane t has the bits of j above those of planes before it. Of a sparse plane: those of j / 4; in the
    q-th four of row r the pair number q + r (mod 6) of KEPT is kept."""
    bits = [int(np.ceil(np.log2(p.shape[-1]))) for p in planes]
    codes = 1 << sum(bits)
    step = 1 if width(scale) < 16 or codes <= 16 else 257
    count = (1 << width(scale)) // step if step == 1 else 256
    row, column = np.arange(count) * step, np.arange(4 * codes if sparse else codes)
    if sparse:
        pair = KEPT[(np.arange(codes)[None, :] + np.arange(count)[:, None]) % len(KEPT)]
        kept = np.any(pair[:, :, None, :] == np.arange(4)[None, None, :, None], axis=-1).reshape(count, 4 * codes)
    total = None

    def offset(kind):
        return stored(kind, (7 * row + 11 if kind == "f16" else 3 * row + 1) % (1 << width(kind)))[:, None]

    with np.errstate(all="ignore"):
        for t, plane in enumerate(planes):
            code = ((column // 4 if sparse else column) >> sum(bits[:t])) & ((1 << bits[t]) - 1)
            padded = np.full(plane.shape[:-1] + (1 << bits[t],), np.nan, F32)
            padded[..., : plane.shape[-1]] = plane
            number = padded[:, code][np.arange(count) % 4] if plane.ndim == 2 else padded[code][None, :]
            s = stored(scale, (row * (2 * t + 1) + 1000 * t) % (1 << width(scale)))[:, None]
            if outer:
                s = s * OUTER[outer]
            part = (number - offset(zero)) * s if zero else number * s
            total = part if total is None else total + part
        if minimum:
            total = total + (offset(minimum) * OUTER_MINIMUM if minimum_outer else offset(minimum))
        if sparse:
            total = np.where(kept, total, F32(0))
    values = np.broadcast_to(total, (count, len(column))).astype(F32)
    values = np.where(np.isnan(values), np.uint32(0x7FC00000).view(F32), values) + F32(0)
    golden("exhaustive", name=name, scales=count, step=step, codes=len(column), crc=crc(np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))))


KEPT = np.array([(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)])


def sparse(n, k):
    # Every way in which four can have two nonzeros or fewer, then dense rows, of which the two of largest magnitude stay.
    w = (rng.normal(0, 0.05, (n, k))).astype(F32).reshape(n, k // 4, 4)
    few = [bits for bits in range(16) if bin(bits).count("1") <= 2]
    for four in range(k // 4):
        w[0, four] *= (few[four % len(few)] >> np.arange(4)) & 1
    largest = np.argsort(-np.abs(w), axis=-1)[..., :2]
    pruned = np.zeros_like(w)
    np.put_along_axis(pruned, largest, np.take_along_axis(w, largest, -1), -1)
    m0, m1, _, m3 = np.moveaxis(pruned != 0, -1, 0)
    bits = [~m0 & m1, ~m0 & ~m1, (m0 & m1) | (~m0 & ~m1) | m3, (~m0 & m1) | ~m1]
    meta = sum(bit.astype(np.uint8) << i for i, bit in enumerate(bits))
    golden("sparse", n=n, k=k, w=w.reshape(n, k), kept=meta.astype(np.uint8))


def fairy2(n, k):
    # Fairy2i's widely linear form of a real matrix and iFairy's quantizer, as the papers have them; odd sizes are filled up with zeros.
    w = rng.normal(0, 0.05, (n, k)).astype(F32)
    w[0, 0] = w[1, 1] = w[1, 0] = 0.03125  # phases of pi/4 and -pi/4
    w[0, 1] = -0.03125
    whole = np.zeros((n + n % 2, k + k % 2))
    whole[:n, :k] = w
    a, b, c, d = whole[::2, ::2], whole[::2, 1::2], whole[1::2, ::2], whole[1::2, 1::2]
    halves = {"u": ((a + d) + 1j * (c - b)) / 2, "v": ((a - d) + 1j * (c + b)) / 2}
    unit = np.array([1, 1j, -1, -1j], np.complex64)
    coded, scales, parts = {}, [], []
    for name, z in halves.items():
        phase = np.angle(z) / (np.pi / 4)
        code = np.where((phase >= -1) & (phase < 1), 0, np.where((phase >= 1) & (phase < 3), 1, np.where((phase >= -3) & (phase < -1), 3, 2)))
        real = F32(np.abs(z.real)[code % 2 == 0].mean())
        imaginary = F32(np.abs(z.imag)[code % 2 == 1].mean())
        coded[name] = code.astype(np.uint8)
        scales += [real, imaginary]
        parts.append(unit[code] * np.where(code % 2 == 0, real, imaginary))
    values = np.zeros_like(whole, F32)
    for j in range(whole.shape[1]):
        x = np.zeros(whole.shape[1], F32)
        x[j] = 1
        z = (x[::2] + 1j * x[1::2]).astype(np.complex64)
        y = parts[0] @ z + parts[1] @ np.conj(z)
        values[::2, j], values[1::2, j] = y.real, y.imag
    golden("fairy2", n=n, k=k, w=w, **coded, scales=np.array(scales, F32), values=values[:n, :k] + F32(0))


def integers(bits, zero=0.0):
    return np.arange(1 << bits, dtype=F32) - F32(zero)


def bits_of(text):
    return np.array([int(word, 16) for word in text.split()], np.uint32).view(F32)


def every_row():
    for b in range(1, 9):
        exhaustive(f"int{b}_g32", [integers(b, 1 << (b - 1))], "f16")
        exhaustive(f"uint{b}_g32", [integers(b)], "f16", zero=f"u{b}")
        exhaustive(f"uint{b}_g32_float", [integers(b)], "f16", zero="f16")
        exhaustive(f"uint{b}_g32_min", [integers(b)], "f16", minimum="f16")
    floats = {
        "fp8_e4m3": ml_dtypes.float8_e4m3fn,
        "fp8_e5m2": ml_dtypes.float8_e5m2,
        "fp8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
        "fp8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
        "fp8_e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
        "fp8_e4m3ieee": ml_dtypes.float8_e4m3,
        "fp8_e3m4": ml_dtypes.float8_e3m4,
        "fp6_e2m3": ml_dtypes.float6_e2m3fn,
        "fp6_e3m2": ml_dtypes.float6_e3m2fn,
        "fp5_e2m2": (2, 2),
        "fp5_e3m1": (3, 1),
        "fp4_e2m1": ml_dtypes.float4_e2m1fn,
        "fp4_e3m0": (3, 0),
        "fp3_e2m0": (2, 0),
    }
    # The type without a fraction has no subnormals: its exponent 0 is 0.
    for name, dtype in floats.items():
        exhaustive(f"{name}_g32", [small(dtype)], "f16")
    e2m1 = small(ml_dtypes.float4_e2m1fn)
    for name, of in (("mxfp8_e4m3", "fp8_e4m3"), ("mxfp8_e5m2", "fp8_e5m2"), ("mxfp6_e2m3", "fp6_e2m3"), ("mxfp6_e3m2", "fp6_e3m2"), ("mxfp4", "fp4_e2m1")):
        exhaustive(name, [small(floats[of])], "e8m0")
    exhaustive("mxint8", [integers(8, 128)], "e8m0")
    for b in (4, 6, 8):
        exhaustive(f"bfp{b}_g32", [integers(b, 1 << (b - 1))], "e8m0")
    exhaustive("nvfp4", [e2m1], "e4m3", "f32")
    exhaustive("nvint4", [integers(4, 8)], "e4m3", "f32")
    exhaustive("fp4_ue4m3", [e2m1], "e4m3")
    exhaustive("fp4_ue5m3", [e2m1], "ue5m3")
    # bitsandbytes/functional.py and its kernels; gguf
    nf4 = bits_of("bf800000 bf3239b1 bf066b30 beca32a0 be91a24d be3d353f bdba7871 00000000 3da2faff 3e24cae3 3e7c04dd 3ead033a 3ee1a4b8 3f1007ab 3f3913b3 3f800000")
    exhaustive("nf4_g32", [nf4], "f16")
    nf3 = [-1, -0.5350227355957031, -0.24693143367767334, 0, 0.1833374798297882, 0.38199394941329956, 0.6229857206344604, 1]
    exhaustive("nf3_g32", [np.array(nf3, F32)], "f16")
    af4 = [-1, -0.69441008, -0.51243739, -0.3736951, -0.25607552, -0.14982478, -0.04934812, 0]
    af4 += [0.04273164, 0.12934483, 0.21961274, 0.31675666, 0.42563882, 0.55496234, 0.72424863, 1]
    exhaustive("af4_g32", [np.array(af4[::-1], F32)], "f16")
    magnitudes = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], F32) / F32(12)
    exhaustive("bnbfp4_g32", [np.concatenate([magnitudes, -magnitudes])], "f16")
    iq4 = np.array(gguf.quants.IQ4_NL.kvalues, F32)
    exhaustive("iq4_nl", [iq4], "f16")
    exhaustive("iq4_xs", [iq4], "i6", "f16")
    exhaustive("bitmod3_g32", [np.array([[0, 1, 2, 4, x, -1, -2, -4] for x in (3, -3, 6, -6)], F32)], "f16")
    basic = [1, 2, 3, 4, 6, 8, 12]
    exhaustive("bitmod4_g32", [np.array([[0, *basic, x, *(-v for v in basic)] for x in (10, -10, 16, -16)], F32)], "f16")
    exhaustive("q2_k", [integers(2)], "u4", "f16", minimum="u4", minimum_outer=True)
    exhaustive("q3_k", [integers(3, 4)], "i6", "f16")
    exhaustive("q4_k", [integers(4)], "u6", "f16", minimum="u6", minimum_outer=True)
    exhaustive("q5_k", [integers(5)], "u6", "f16", minimum="u6", minimum_outer=True)
    exhaustive("q6_k", [integers(6, 32)], "i8", "f16")
    exhaustive("tq2_0", [integers(2, 1)], "f16")
    trits = np.array([-1, 0, 1], F32)
    exhaustive("ternary_g32", [trits], "f16")
    exhaustive("ptqtp2_g32", [trits] * 2, "f16")
    exhaustive("trit5_g32", [trits], "f16")
    exhaustive("ptqtp2_g32_trit5", [trits] * 2, "f16")
    for stored_bits, read in ((8, 8), (8, 4), (8, 2), (4, 4), (4, 2)):
        # The upper bits of a code, and the middle of what the lower ones may be, of two middles the upper one.
        codes, unread = np.arange(1 << stored_bits), stored_bits - read
        numbers = (codes >> unread << unread) + ((1 << unread) >> 1) - (1 << (stored_bits - 1))
        name = f"nested{stored_bits}" + (f"to{read}" if unread else "")
        exhaustive(f"{name}_g32", [numbers.astype(F32)], "f16")
    exhaustive("ptqtp3_g32", [trits] * 3, "f16")
    for b in (2, 3, 4):
        exhaustive(f"hlq{b}_g32", [integers(1)] * b, "f16", minimum="f16")
        exhaustive(f"w{b}s4_g32", [integers(b, 1 << (b - 1))], "u4", "f32")
    exhaustive("sp24_int4_g32", [integers(4, 8)], "f16", sparse=True)
    exhaustive("sp24_int8_g32", [integers(8, 128)], "f16", sparse=True)
    exhaustive("sp24_uint2_g32", [integers(2)], "f16", zero="u2", sparse=True)
    exhaustive("sp24_fp8_e4m3_g32", [small(ml_dtypes.float8_e4m3fn)], "f16", sparse=True)
    exhaustive("sp24_nf4_g32", [nf4], "f16", sparse=True)
    exhaustive("zqfp4_m1_g32", [e2m1], "e8m0")
    exhaustive("zqfp4_m2_g32", [e2m1], "shift", "f32")


def ggml_blocks(name, kind, unpack):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (2, size), dtype=np.uint8)
    parts = [unpack(row) for row in data]
    fields = {key: np.stack([np.asarray(part[key]) for part in parts]) for key in parts[0]}
    values = gguf.quants.dequantize(data.reshape(-1), kind).astype(F32)
    golden("ggml", name=name, k=block, **{k: v.astype(np.uint8 if k == "codes" else F32) for k, v in fields.items()}, values=values)


def halves(row, at, value):
    row[at : at + 2] = np.array([value], F16).view(np.uint8)
    return F32(F16(value))


def two_bits(qs):
    return np.concatenate([(qs[32 * h : 32 * h + 32] >> (2 * p)) & 3 for h in range(2) for p in range(4)])


def q2_k(row):
    d, m = halves(row, 80, 0.0371), halves(row, 82, 0.021)
    return {"codes": two_bits(row[16:80]), "scale0": row[:16] & 15, "scale1": [d], "offset0": row[:16] >> 4, "offset1": [-m]}


def q3_k(row):
    d, j = halves(row, 108, -0.0371), np.arange(16)
    high = np.concatenate([(row[:32] >> bit) & 1 for bit in range(8)])
    scales = row[96:108]
    six = ((scales[j % 8] >> (4 * (j // 8))) & 15) | ((scales[8 + j % 4] >> (2 * (j // 4))) & 3) << 4
    return {"codes": two_bits(row[32:96]) + 4 * high, "scale0": six.astype(int) - 32, "scale1": [d]}


def six_bit_pairs(s):
    low, high = s[:8] & 63, s[8:12]
    scales = np.concatenate([low[:4], (high & 15) | (s[:4] >> 6) << 4])
    return scales, np.concatenate([low[4:8], (high >> 4) | (s[4:8] >> 6) << 4])


def q4_k(row, nibbles=16):
    d, m = halves(row, 0, 0.0371), halves(row, 2, -0.21)
    scales, minima = six_bit_pairs(row[4:16])
    qs = row[nibbles:]
    codes = np.concatenate([(qs[32 * p : 32 * p + 32] >> (4 * h)) & 15 for p in range(4) for h in range(2)])
    return {"codes": codes, "scale0": scales, "scale1": [d], "offset0": minima, "offset1": [-m]}


def q5_k(row):
    parts = q4_k(row, 48)
    parts["codes"] = parts["codes"] + 16 * np.concatenate([(row[16:48] >> j) & 1 for j in range(8)])
    return parts


def q6_k(row):
    i = np.arange(256)
    half, at = i // 128, i % 128
    low = (row[64 * half + at % 64] >> (4 * (at // 64))) & 15
    high = (row[128 + 32 * half + at % 32] >> (2 * (at // 32))) & 3
    return {"codes": low | high << 4, "scale0": row[192:208].view(np.int8), "scale1": [halves(row, 208, 0.0371)]}


def iq4_xs(row):
    d, b, i = halves(row, 0, 0.0371), np.arange(8), np.arange(256)
    high = int(row[2]) | int(row[3]) << 8
    scales = ((row[4 + b // 2] >> (4 * (b % 2))) & 15) | ((high >> (2 * b)) & 3) << 4
    codes = (row[8 + 16 * (i // 32) + i % 16] >> (4 * (i % 32 // 16))) & 15
    return {"codes": codes, "scale0": scales.astype(int) - 32, "scale1": [d]}


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
    every_row()
    for unpack in (q2_k, q3_k, q4_k, q5_k, q6_k, iq4_xs):
        ggml_blocks(unpack.__name__, gguf.GGMLQuantizationType[unpack.__name__.replace("_k", "_K").upper()], unpack)
    for bits in range(1, 9):
        quantized(f"int{bits}_g5", bits, "constant", 5, 3, 13)
        quantized(f"uint{bits}_g5", bits, "integer", 5, 3, 13)
        quantized(f"uint{bits}_g5_float", bits, "float", 5, 3, 13)
        quantized(f"uint{bits}_g5_min", bits, "minimum", 5, 3, 13)
    for bits in (2, 4, 8):
        quantizer(bits, True, 32, 3, 70)
        quantizer(bits, False, 32, 3, 70)
    sparse(4, 88)
    fairy2(6, 10)
    fairy2(5, 7)


main()
