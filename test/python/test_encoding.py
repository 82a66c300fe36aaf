# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""whit.Format against the numbers of ml_dtypes and gguf, on random weights."""
import ml_dtypes
import numpy as np
import pytest

import whit

RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(0, 0.05, (24, 512)).astype(np.float32)


def examples():
    for row in whit.formats():
        yield row.name.replace("_gN", "_g32")


def decibels(name, **options):
    stored = whit.Format(name).quantize(WEIGHTS, **options)
    return 10 * np.log10((WEIGHTS**2).sum() / ((WEIGHTS - stored.dequantize()) ** 2).sum())


@pytest.mark.parametrize("name", list(examples()))
def test_every_row_quantizes_packs_and_comes_back(name):
    format = whit.Format(name)
    assert whit.Format(format.formula) == format and whit.Format(format.name) == format
    stored = format.quantize(WEIGHTS, quantizer="nearest")
    again = format.frombytes(stored.tobytes(), WEIGHTS.shape)
    assert np.array_equal(again.dequantize(), stored.dequantize())
    assert np.isfinite(stored.dequantize()).all()
    assert len(stored.tobytes()) * 8 >= format.bits_per_weight(24, 512) * WEIGHTS.size * 0.99


FLOATS = {
    "fp8_e4m3": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "fp8_e3m4": ml_dtypes.float8_e3m4,
    "fp6_e2m3": ml_dtypes.float6_e2m3fn,
    "fp6_e3m2": ml_dtypes.float6_e3m2fn,
    "fp4_e2m1": ml_dtypes.float4_e2m1fn,
}


@pytest.mark.parametrize("name", list(FLOATS))
def test_codes_are_those_of_ml_dtypes(name):
    stored = whit.Format(f"{name}_g32_f32").quantize(WEIGHTS, quantizer="nearest")
    scale = stored.scales[0][0].repeat(32, axis=1)
    expected = (WEIGHTS / scale).astype(FLOATS[name])
    assert np.array_equal(stored.dequantize(), expected.astype(np.float32) * scale)
    nonzero = expected.astype(np.float32) != 0  # a negative 0 may have either code
    assert np.array_equal(stored.codes[0][nonzero], expected.view(np.uint8)[nonzero])


def test_mxfp4_is_what_ml_dtypes_makes_of_the_scale_that_cuts_nothing_off():
    stored = whit.Format("mxfp4").quantize(WEIGHTS, quantizer="nearest")
    largest = np.abs(WEIGHTS.reshape(24, -1, 32)).max(axis=2)
    scale = 2.0 ** np.ceil(np.log2(largest.astype(np.float64) / 6))
    assert np.array_equal(stored.scales[0][0], scale.astype(np.float32))
    wide = scale.repeat(32, axis=1)
    assert np.array_equal(stored.dequantize(), ((WEIGHTS / wide).astype(ml_dtypes.float4_e2m1fn).astype(np.float32) * wide).astype(np.float32))


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
def test_blocks_of_gguf_decode_to_the_same(name):
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType[name.upper()]
    theirs = gguf.quants.dequantize(gguf.quants.quantize(WEIGHTS, kind), kind)
    # What their quantizer chose can be stored exactly, so that least squares finds nothing better than (nearly) no error.
    ours = whit.Format(f"gguf:{kind.value}").quantize(theirs).dequantize()
    assert ((ours - theirs) ** 2).sum() <= 1e-3 * ((WEIGHTS - theirs) ** 2).sum()


def test_orders_of_loss():
    assert decibels("int4_g32") > decibels("int4_g32", quantizer="nearest")
    assert decibels("nf4_g32") > decibels("int4_g32", quantizer="nearest")
    assert decibels("int4_g32") > decibels("int4_g128")
    assert decibels("nvfp4") > decibels("mxfp4")


def test_rows_say_where_they_are_from():
    rows = {row.name: row for row in whit.formats()}
    assert rows["q4_k"].aliases == ("gguf:12",) and "ggml" in rows["q4_k"].source
    assert len(rows) == len(whit.formats()) > 80


def test_bits_per_weight():
    assert whit.Format("q4_k").bits_per_weight(256, 512) == 4.5
    assert whit.Format("q6_k").bits_per_weight(256, 512) == 6.5625
    assert whit.Format("mxfp4").bits_per_weight(256, 512) == 4.25
    assert whit.Format("hlq2").bits_per_weight(256, 512) == 2.375


def test_names_of_ones_own():
    whit.add_formats('python_mine = "float<e3m2> * e8m0/64"')
    assert whit.Format("python_mine") == whit.Format("float<e3m2> * e8m0/64")
    with pytest.raises(whit.UsageError, match="line 1: format 'python_bad'.*block size"):
        whit.add_formats('python_bad = "int<4> * f16/0"')


def test_errors():
    with pytest.raises(whit.UsageError, match="did you mean .*'nvfp4'"):
        whit.Format("nvpf4")
    with pytest.raises(whit.InvalidInputError, match="row 1, column 2"):
        whit.Format("int4_g32").quantize(np.array([[0, 1, 2], [3, 4, np.nan]]))
    with pytest.raises(whit.InvalidInputError, match="dimensions"):
        whit.Format("int4_g32").quantize(np.zeros(4))
    with pytest.raises(whit.InvalidInputError, match="quantizer 'best'"):
        whit.Format("int4_g32").quantize(WEIGHTS, quantizer="best")
    with pytest.raises(whit.InvalidInputError, match="found 3 bytes"):
        whit.Format("int4_g32").frombytes(b"abc", (2, 32))
