# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exported kernels called by other runtimes give the bits that they give to numpy. What is not installed is skipped."""
import importlib
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
from test_exported_kernels import COLUMNS, OUTPUTS, exported, load, product, rows, weights  # noqa: E402, F401

FLAGS = ("--weights=int4_g32", "--activations=f32", "--export-as=tvm-ffi,torch,jax,ort")


@pytest.fixture(scope="module")
def layer(exported, product):  # noqa: F811
    """(folder, the kernel called by numpy, its packed weight)"""
    folder, kernels = exported(product, *FLAGS)
    (multiply,) = kernels.values()
    return folder, multiply, multiply.pack("w", weights())


@pytest.fixture(scope="module")
def decoder(exported, tiny):  # noqa: F811
    """Kernels of a language model: caches that are updated, sizes that no tensor has."""
    return exported(tiny, "--context=64", "--export-as=tvm-ffi,torch,jax,ort", glob="*layers.0*GroupQueryAttention*")


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


class TestOnnxRuntime:
    @pytest.fixture(autouse=True)
    def need(self):
        self.ort = pytest.importorskip("onnxruntime")

    def session(self, folder, kernel, initializers, *, threads=2, **attributes):
        """A model of one kernel, whose inputs are what is no initializer."""
        from onnx import TensorProto, helper, numpy_helper

        types = {"f32": TensorProto.FLOAT, "i32": TensorProto.INT32, "i8": TensorProto.INT8}
        value = lambda a, name: helper.make_tensor_value_info(name, types[a["dtype"]], a["shape"])
        results = [(a, a["name"] + "_after") for a in kernel.given if a["role"] == "inout"] + [(a, a["name"]) for a in kernel.outputs]
        node = helper.make_node(kernel.name, [a["name"] for a in kernel.given], [name for _, name in results], domain="whit", **attributes)
        graph = helper.make_graph([node], "g", [value(a, a["name"]) for a in kernel.given if a["name"] not in initializers],
                                  [value(*result) for result in results], [numpy_helper.from_array(v, k) for k, v in initializers.items()])
        text = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("whit", 1)], ir_version=10).SerializeToString()
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.register_custom_ops_library(str(folder / "kernels.so"))
        return self.ort.InferenceSession(text, options, providers=["CPUExecutionProvider"])

    @pytest.mark.parametrize("threads", [1, 3])
    def test_bits(self, layer, threads):
        folder, multiply, packed = layer
        session = self.session(folder, multiply, {"w": packed}, threads=threads)
        for count in (1, 40):
            np.testing.assert_array_equal(session.run(None, {"x": rows(count)})[0], multiply(rows(count), packed))

    def test_wrong_calls(self, layer):
        folder, multiply, packed = layer
        session = self.session(folder, multiply, {})
        with pytest.raises(Exception, match="dimension 0 of 'w' is 4, needs 5|Got: 4 Expected: 5"):
            session.run(None, {"x": rows(), "w": packed[:-1]})
        with pytest.raises(Exception, match="dimension 1 of 'w' is"):
            self.session(folder, multiply, {"w": packed[:, :-1].copy()}).run(None, {"x": rows()})
        with pytest.raises(Exception, match="[Tt]ype"):
            self.session(folder, multiply, {"w": packed.astype(np.int32)})

    def test_a_cache_and_a_number(self, decoder):
        append, given, after = cache_step(decoder[1])
        session = self.session(decoder[0], append, {}, sequence_length=3)
        feeds = {a["name"]: array for a, array in zip(append.given, given)}
        before = given[-1].copy()
        np.testing.assert_array_equal(session.run(None, feeds)[0], after)
        np.testing.assert_array_equal(given[-1], before)
        with pytest.raises(Exception, match="sequence_length"):
            self.session(decoder[0], append, {})
