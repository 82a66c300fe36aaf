# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Floats of 8 bits and fewer, each code of them: what Cast, CastLike and QuantizeLinear make of numbers, beside ml_dtypes."""
import ml_dtypes
import numpy as np
import onnx
import pytest

from real import need_build

KINDS = {"FLOAT8E4M3FN": "float8_e4m3fn", "FLOAT8E4M3FNUZ": "float8_e4m3fnuz", "FLOAT8E5M2": "float8_e5m2", "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
         "FLOAT4E2M1": "float4_e2m1fn", "FLOAT8E8M0": "float8_e8m0fnu"}


@pytest.fixture(scope="module", autouse=True)
def built(tools):
    """The trust store and caches of the user are left alone."""
    need_build()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, tools.environment[name])
        yield


def run(op, array, kinds, **attributes):
    from whit import backend

    values = [onnx.helper.make_tensor_value_info(name, kind, array.shape) for name, kind in zip("xy", kinds)]
    graph = onnx.helper.make_graph([onnx.helper.make_node(op, ["x"], ["y"], **attributes)], "g", values[:1], values[1:])
    return backend.run_model(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 25)]), [array])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_code_is_read_and_made_again(kind):
    dtype, number = getattr(ml_dtypes, KINDS[kind]), getattr(onnx.TensorProto, kind)
    codes = np.arange(16 if kind == "FLOAT4E2M1" else 256, dtype=np.uint8).view(dtype)
    wide = run("Cast", codes, (number, onnx.TensorProto.FLOAT), to=onnx.TensorProto.FLOAT)
    assert np.array_equal(wide, codes.astype(np.float32), equal_nan=True)
    assert np.array_equal(np.signbit(wide[~np.isnan(wide)]), np.signbit(codes.astype(np.float32)[~np.isnan(wide)]))
    finite = wide[np.isfinite(wide)]
    again = run("Cast", finite, (onnx.TensorProto.FLOAT, number), to=number)
    assert np.array_equal(again.view(np.uint8), codes[np.isfinite(wide)].view(np.uint8))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "FLOAT8E8M0"])
@pytest.mark.parametrize("saturate", (0, 1))
def test_numbers_are_rounded_to_even(kind, saturate):
    """Halves between neighbours among them, and what lies outside."""
    dtype, number = getattr(ml_dtypes, KINDS[kind]), getattr(onnx.TensorProto, kind)
    exact = np.unique(np.arange(16 if kind == "FLOAT4E2M1" else 256, dtype=np.uint8).view(dtype).astype(np.float32))
    exact = exact[np.isfinite(exact)]
    ties = (exact[1:] + exact[:-1]) / 2
    near = np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, -np.float32(np.inf))
    beyond = float(exact[-1]) * np.array([1.01, 1.03, 1.0625, 1.1, 1.125, 2, 1e6, np.inf])
    x = np.concatenate([exact, ties, *near, beyond, -beyond, [1e-30, -1e-30, 0.0, -0.0, np.nan]]).astype(np.float32)
    y = run("Cast", x, (onnx.TensorProto.FLOAT, number), to=number, saturate=saturate)
    clipped = np.clip(x, exact[0], exact[-1]) if saturate else x
    with np.errstate(all="ignore"):
        wanted = clipped.astype(dtype).astype(np.float32)
    assert np.array_equal(y.astype(np.float32), wanted, equal_nan=True)


@pytest.mark.parametrize("mode", ("up", "down", "nearest"))
def test_powers_of_two_are_rounded_as_asked(mode):
    x = np.array([1, 1.25, 1.75, 3, 4, 2.0**-127, 2.0**-130, 3e38, 0, np.inf, np.nan], np.float32)
    wanted = {"up": [127, 128, 128, 129, 129, 0, 0, 254, 0, 254, 255], "down": [127, 127, 127, 128, 129, 0, 0, 254, 0, 254, 255],
              "nearest": [127, 127, 128, 129, 129, 0, 0, 254, 0, 254, 255]}[mode]
    kinds = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT8E8M0
    found = run("Cast", x, kinds, to=kinds[1], round_mode=mode)
    assert found.view(np.uint8).tolist() == wanted
    strict = run("Cast", x, kinds, to=kinds[1], round_mode=mode, saturate=0).view(np.uint8)
    assert strict[[6, 8, 9, 10]].tolist() == [255] * 4 and strict[0] == 127


def test_shorts_without_a_sign_reach_the_model():
    x = np.array([0, 1, 32768, 65535, 0x7FC1], np.uint16)
    assert run("Cast", x, (onnx.TensorProto.UINT16, onnx.TensorProto.INT32), to=onnx.TensorProto.INT32).tolist() == x.tolist()
    y = run("BitCast", x, (onnx.TensorProto.UINT16, onnx.TensorProto.INT16), to=onnx.TensorProto.INT16)
    assert np.array_equal(y, x.view(np.int16))
