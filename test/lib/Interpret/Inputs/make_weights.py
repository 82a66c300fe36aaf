# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes FOLDER/weights.bin and FOLDER/weights.mlir: weights in every layout a model file may use, and what numpy makes of
them. Values are small integers with power-of-two scales, so that every expectation is exact."""

import pathlib
import sys

import numpy as np

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(3)
blob = bytearray()
weights, functions = [], []


def add(array, element=None):
    """Appends an array to the blob; the #whit.blob that names it."""
    data = np.ascontiguousarray(array)
    names = {"float32": "f32", "float16": "f16", "uint8": "ui8"}
    offset = len(blob)
    blob.extend(data.tobytes())
    return f'#whit.blob<"weights.bin", {offset} : {data.nbytes} x {element or names[data.dtype.name]}, "0000000000000000">'


def dense(array):
    def text(part):
        return "[" + ", ".join(map(text, part)) + "]" if isinstance(part, list) else repr(part)

    shape = "x".join(map(str, array.shape))
    kind = "f32" if array.dtype.kind == "f" else f"i{array.dtype.itemsize * 8}"
    return f"dense<{text(array.tolist())}> : tensor<{shape}x{kind}>"


def stream(codes, bits):
    """Codes as a little-endian stream of bits along the last axis."""
    planes = (codes[..., None] >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(*codes.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")


def blocks(name, form, n, k, group, bits, zero, scale=np.float32):
    """A MatMulNBits weight; its values."""
    count = -(-k // group)
    codes = random.integers(0, 2**bits, (n, count, group))
    scales = (2.0 ** random.integers(-3, 2, (n, count))).astype(scale)
    sources = [add(stream(codes, bits)), add(scales)]
    zeros = np.full((n, count), 2 ** (bits - 1))
    if zero == "packed":
        zeros = random.integers(0, 2**bits, (n, count))
        sources.append(add(stream(zeros, bits)))
    elif zero == "float":
        zeros = random.integers(0, 2 ** (bits + 1), (n, count)) / 2
        sources.append(add(zeros.astype(scale)))
    values = (codes - zeros[..., None]) * scales.astype(np.float64)[..., None]
    declare(name, form, n, k, [("blocks", n, sources)])
    return values.reshape(n, -1)[:, :k]


def declare(name, form, n, k, parts):
    listed = ", ".join(f'#whit.source<"{layout}", {count}, [{", ".join(blobs)}]>' for layout, count, blobs in parts)
    weights.append((name, f"!whit.tensor<{n}x{k}xf32, #whit.format<{form}>>", listed))


def expect(name, values):
    n, k = values.shape
    kind = next(kind for known, kind, _ in weights if known == name)
    functions.append(f"""
func.func @reads_{name}() {{
  %w = whit.constant @{name} : {kind}
  %e = tensor.empty() : tensor<{n}x{k}xf32>
  %y = whit.dequantize ins(%w : {kind}) outs(%e : tensor<{n}x{k}xf32>) -> tensor<{n}x{k}xf32>
  check.expect_eq_const %y, {dense(values.astype(np.float32))}
  return
}}""")


# Every width, with each kind of zero point. Whole bytes per block: a block has 8 * j codes.
for bits in range(1, 9):
    expect(f"constant{bits}", blocks(f"constant{bits}", f"int{bits}_g16_f32", 3, 40, 16, bits, None))
    expect(f"packed{bits}", blocks(f"packed{bits}", f"uint{bits}_g16_f32", 3, 40, 16, bits, "packed"))
    expect(f"float{bits}", blocks(f"float{bits}", f"uint{bits}_g16_float", 2, 40, 16, bits, "float", np.float16))



def coded(name, form, n, k, groups, bits, signed, zero, columns):
    """Codes as DequantizeLinear takes them, `groups` scales a row or None for one in all; their values."""
    low = -(2 ** (bits - 1)) if signed else 0
    codes = random.integers(low, low + 2**bits, (n, k))
    shape = (n, groups) if groups else (1, 1)
    scales = 2.0 ** random.integers(-3, 2, shape)
    zeros = random.integers(low, low + 2**bits, shape) if zero == "stored" else np.zeros(shape, int)

    def lie(array):
        return array.T if columns and array.shape != (1, 1) else array

    element = f"{'' if signed else 'u'}i{bits}"
    sources = [add(stream(lie(codes).reshape(-1), bits), element), add(lie(scales).astype(np.float32))]
    if zero == "stored":
        sources.append(add(stream(lie(zeros).reshape(-1), bits), element))
    declare(name, form, n, k, [("coded_columns" if columns else "coded_rows", n, sources)])
    spread = np.minimum(np.arange(k) // 16, (groups or 1) - 1)
    return (codes - zeros[:, spread]) * scales[:, spread]


for columns in (False, True):
    for bits in (2, 4, 8):
        for signed, zero, stem in ((True, None, "int"), (True, "stored", "uint"), (False, None, "uint"), (False, "stored", "uint")):
            for groups, grouping in ((None, "tensor"), (1, "channel"), (3, "g16")):
                name = f"coded_{'columns' if columns else 'rows'}{bits}_{'i' if signed else 'u'}_{zero}_{grouping}"
                expect(name, coded(name, f"{stem}{bits}_{grouping}_f32", 3, 40, groups, bits, signed, zero, columns))

# Floats, by rows and by columns, in several parts; and floats that are quantized as they are read.
rows, columns = random.integers(-8, 9, (2, 20)), random.integers(-8, 9, (3, 20))
declare("joined", "f32", 5, 20, [("rows", 2, [add(rows.astype(np.float16))]), ("columns", 3, [add(columns.T.astype(np.float32))])])
expect("joined", np.concatenate([rows, columns]).astype(np.float64))

# One group spans -8 .. 7 steps of 0.5, so that its scale is 0.5 and every value stays.
steps = random.integers(-8, 8, (2, 32))
steps[:, 0], steps[:, 16] = -8, -8
declare("quantized", "int4_g16_f32", 2, 32, [("rows", 2, [add((steps * 0.5).astype(np.float32))])])
expect("quantized", steps * 0.5)
levels = random.integers(0, 16, (2, 16))
levels[:, 0], levels[:, 1] = 0, 15
declare("minimum", "uint4_g16_min_f32", 2, 16, [("rows", 2, [add((levels * 2.0 - 3.0).astype(np.float32))])])
expect("minimum", levels * 2.0 - 3.0)
# One scale for the whole matrix, although it has two parts: the extreme is in the second.
first, second = random.integers(-8, 8, (1, 8)), random.integers(-8, 8, (1, 8))
second[0, 3] = -8
declare("whole", "int4_tensor_f32", 2, 8, [("rows", 1, [add(first.astype(np.float32))]), ("rows", 1, [add(second.astype(np.float32))])])
expect("whole", np.concatenate([first, second]).astype(np.float64))

# A matmul in floats, one in integers, and a gather, on a weight whose last group is short.
for zero, form in ((None, "int4_g16_f32"), ("packed", "uint4_g16_f32"), ("float", "uint4_g16_float_f32")):
    name = f"product_{zero or 'constant'}"
    values = blocks(name, form, 18, 24, 16, 4, zero)
    kind = weights[-1][1]
    x = random.integers(-9, 10, (2, 24))
    x[:, 0], x[:, 16] = 127, -127  # so that the scale of each group is 1 and the codes are x itself
    y = x @ values.T
    indices = np.array([17, -1, 0, 18, -19, -18], dtype=np.int64)
    table = np.vstack([values, np.zeros(24)])
    gathered = table[[17, 17, 0, 18, 18, 0]]
    functions.append(f"""
func.func @reads_{name}() {{
  %w = whit.constant @{name} : {kind}
  %x = arith.constant {dense(x.astype(np.float32))}
  %e = tensor.empty() : tensor<2x18xf32>
  %y = whit.matmul ins(%x, %w : tensor<2x24xf32>, {kind}) outs(%e : tensor<2x18xf32>) -> tensor<2x18xf32>
  check.expect_eq_const %y, {dense(y.astype(np.float32))}
  %codes = tensor.empty() : tensor<2x2x16xi8>
  %scales = tensor.empty() : tensor<2x2xf32>
  %sums = tensor.empty() : tensor<2x2xi32>
  %q:3 = whit.quantize ins(%x : tensor<2x24xf32>) outs(%codes, %scales, %sums : tensor<2x2x16xi8>, tensor<2x2xf32>, tensor<2x2xi32>)
    group = 16 -> tensor<2x2x16xi8>, tensor<2x2xf32>, tensor<2x2xi32>
  %z = whit.quantized_matmul ins(%q#0, %q#1, %q#2, %w : tensor<2x2x16xi8>, tensor<2x2xf32>, tensor<2x2xi32>, {kind})
    outs(%e : tensor<2x18xf32>) -> tensor<2x18xf32>
  check.expect_eq_const %z, {dense(y.astype(np.float32))}
  %i = arith.constant {dense(indices)}
  %f = tensor.empty() : tensor<6x24xf32>
  %g = whit.gather ins(%w, %i : {kind}, tensor<6xi64>) outs(%f : tensor<6x24xf32>) -> tensor<6x24xf32>
  check.expect_eq_const %g, {dense(gathered.astype(np.float32))}
  return
}}""")

(folder / "weights.bin").write_bytes(blob)
lines = [f"whit.weight @{name} : {kind} = [{parts}]" for name, kind, parts in weights]
(folder / "weights.mlir").write_text("\n".join(lines + functions) + "\n")
