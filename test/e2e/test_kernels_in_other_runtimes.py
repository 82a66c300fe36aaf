# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exported kernels called by other runtimes give the bits that they give to numpy. What is not installed is skipped."""
import importlib
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
from test_exported_kernels import COLUMNS, OUTPUTS, exported, load, product, rows, weights  # noqa: E402, F401

FLAGS = ("--weights=int4_g32", "--activations=f32", "--export-as=tvm-ffi,torch,jax")


@pytest.fixture(scope="module")
def layer(exported, product):  # noqa: F811
    """(folder, the kernel called by numpy, its packed weight)"""
    folder, kernels = exported(product, *FLAGS)
    (multiply,) = kernels.values()
    return folder, multiply, multiply.pack("w", weights())


@pytest.fixture(scope="module")
def decoder(exported, tiny):  # noqa: F811
    """Kernels of a language model: caches that are updated, sizes that no tensor has."""
    return exported(tiny, "--context=64", "--export-as=tvm-ffi,torch,jax", glob="*layers.0*GroupQueryAttention*")


def imported(folder, name):
    """A Python file of an exported folder."""
    for known in ("kernels_numpy", "kernels_torch", "kernels_jax"):
        sys.modules.pop(known, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return importlib.import_module(name)


def cache_step(kernels):
    """A kernel that writes keys or values into a cache, arguments for it, and the cache afterwards by numpy."""
    append = next(k for k in kernels.values() if k.description["computes"] == ["whit.cache_append"] and any(s.get("explicit") for s in k.symbols.values()))
    random = np.random.default_rng(4)
    shapes = {a["name"]: [{"batch_size": 1, "batch_size_sequence_length": 3}.get(size, size) for size in a["shape"]] for a in append.given}
    given = [np.zeros(shapes[a["name"]], np.int32) if a["dtype"] == "i32" else random.standard_normal(shapes[a["name"]]).astype(np.float32) for a in append.given]
    after = [array.copy() for array in given]
    append(*after, sequence_length=3)
    assert (after[-1] != given[-1]).any()
    return append, given, after[-1]


class TestTvmFfi:
    @pytest.fixture(autouse=True)
    def need(self):
        self.ffi = pytest.importorskip("tvm_ffi")

    def test_bits(self, layer):
        folder, multiply, packed = layer
        module = self.ffi.load_module(str(folder / "kernels.so"))
        x, y = rows(), np.empty((len(rows()), OUTPUTS), np.float32)
        again = np.empty_like(packed)
        module[multiply.name + "_pack_w"](self.ffi.from_dlpack(weights()), self.ffi.from_dlpack(again))
        np.testing.assert_array_equal(again, packed)
        module[multiply.name](*map(self.ffi.from_dlpack, (x, again, y)))
        np.testing.assert_array_equal(y, multiply(x, packed))

    def test_wrong_calls(self, layer):
        folder, multiply, packed = layer
        call = self.ffi.load_module(str(folder / "kernels.so"))[multiply.name]
        x, y = rows(), np.empty((len(rows()), OUTPUTS), np.float32)
        for kind, message, arguments in [
                (ValueError, "dimension 1 of 'x' is 95, needs 96", (rows(5, 95), packed, y)), (TypeError, "'x' is f64, needs f32", (x.astype(np.float64), packed, y)),
                (ValueError, "'x' has 1 dimensions, needs 2", (x[0].copy(), packed, y)), (TypeError, "takes 3 tensors and 0 numbers; found 2", (x, packed)),
                (TypeError, "'x' must be contiguous", (np.asfortranarray(x), packed, y)), (ValueError, "dimension 0 of 'y' is 4, needs 5", (x, packed, y[:4]))]:
            with pytest.raises(kind, match=message):
                call(*map(self.ffi.from_dlpack, arguments))
        with pytest.raises(TypeError, match="argument 0 is no tensor"):
            call(1, self.ffi.from_dlpack(packed), self.ffi.from_dlpack(y))

    def test_a_cache_and_a_number(self, decoder):
        append, given, after = cache_step(decoder[1])
        module = self.ffi.load_module(str(decoder[0] / "kernels.so"))
        module[append.name](*map(self.ffi.from_dlpack, given), 3)
        np.testing.assert_array_equal(given[-1], after)
        with pytest.raises(TypeError, match="is no integer"):
            module[append.name](*map(self.ffi.from_dlpack, given), 3.5)


class TestTorch:
    @pytest.fixture(autouse=True)
    def need(self):
        self.torch = pytest.importorskip("torch")

    def test_bits_and_compiled(self, layer):
        torch, (folder, multiply, packed) = self.torch, layer
        kernels_torch = imported(folder, "kernels_torch")
        op = kernels_torch.register(folder, "whit_layer")[multiply.name]
        x, w = torch.from_numpy(rows()), kernels_torch.pack(op, "w", torch.from_numpy(weights()))
        expected = multiply(rows(), packed)
        np.testing.assert_array_equal(op(x, w).numpy(), expected)
        np.testing.assert_array_equal(getattr(torch.ops.whit_layer, multiply.name)(x.T.contiguous().T, w).numpy(), expected)
        compiled = torch.compile(lambda x: torch.relu(op(x * 1, w)) + 1, fullgraph=True, dynamic=True, backend="aot_eager")
        for count in (5, 9):
            x = torch.from_numpy(rows(count))
            np.testing.assert_array_equal(compiled(x).numpy(), np.maximum(multiply(rows(count), packed), 0) + 1)
        torch.library.opcheck(op.op, (x, w), test_utils=("test_schema", "test_faketensor"))
        for kind, wrong in [(ValueError, x[:, :-1]), (TypeError, x.double()), (ValueError, x[0])]:
            with pytest.raises(kind):
                op(wrong, w)

    def test_a_cache_and_a_number(self, decoder):
        append, given, after = cache_step(decoder[1])
        op = imported(decoder[0], "kernels_torch").register(decoder[0], "whit_decoder")[append.name]
        tensors = [self.torch.from_numpy(array.copy()) for array in given]
        op(*tensors, 3)
        np.testing.assert_array_equal(tensors[-1].numpy(), after)


class TestJax:
    @pytest.fixture(autouse=True)
    def need(self):
        self.jax = pytest.importorskip("jax")

    def test_bits(self, layer):
        jax, (folder, multiply, packed) = self.jax, layer
        kernels_jax = imported(folder, "kernels_jax")
        function = kernels_jax.register(folder)[multiply.name]
        w = kernels_jax.pack(function, "w", weights())
        expected = multiply(rows(), packed)
        np.testing.assert_array_equal(function(jax.numpy.asarray(rows()), w), expected)
        jitted = jax.jit(lambda x, w: jax.numpy.maximum(function(x, w), 0) + 1)
        np.testing.assert_array_equal(jitted(rows(), w), np.maximum(expected, 0) + 1)
        for kind, wrong in [(ValueError, rows(5, COLUMNS - 1)), (TypeError, rows().astype(np.int32))]:
            with pytest.raises(kind):
                function(wrong, w)
        # What Python checks, the handler checks too.
        call = jax.ffi.ffi_call(function.target, [jax.ShapeDtypeStruct((4, OUTPUTS), np.float32)])
        with pytest.raises(Exception, match="dimension 0 of 'y' is 4, needs 5"):
            jax.block_until_ready(call(rows(), w))

    def test_a_cache_and_a_number(self, decoder):
        append, given, after = cache_step(decoder[1])
        function = imported(decoder[0], "kernels_jax").register(decoder[0])[append.name]
        before = given[-1].copy()
        np.testing.assert_array_equal(function(*map(self.jax.numpy.asarray, given), sequence_length=3), after)
        np.testing.assert_array_equal(given[-1], before)
