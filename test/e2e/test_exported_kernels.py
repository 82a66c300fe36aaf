# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels exported for other programs compute the bits that the whole model computes, with weights packed by their own packers."""
import ctypes
import importlib.util
import json
import shutil
import subprocess

import numpy as np
import pytest

from real import BUILD, missing

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROWS, COLUMNS, OUTPUTS = 5, 96, 80  # tails in every direction: 80 outputs are five panels, 96 elements three groups of 32


def load(folder):
    """The kernels_numpy.py of an exported folder, as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"kernels_{abs(hash(folder))}", folder / "kernels_numpy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def model(path, nodes, inputs, outputs, constants=None, opset=23):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "kernels", [value(*i) for i in inputs], [value(*o) for o in outputs],
                              [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), str(path))
    return path


def weights(n=OUTPUTS, k=COLUMNS, seed=1):
    return (np.random.default_rng(seed).standard_normal((n, k)) / 8).astype(np.float32)


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """y = x @ W, W as [K, N]."""
    return model(tmp_path_factory.mktemp("product") / "product.onnx", [helper.make_node("MatMul", ["x", "W"], ["y"], name="/layer/MatMul")],
                 [("x", ["rows", COLUMNS])], [("y", ["rows", OUTPUTS])], {"W": np.ascontiguousarray(weights().T)})


@pytest.fixture(scope="module")
def exported(tools, tmp_path_factory):
    """exported(model, flags...) -> (folder, kernels); each is exported once."""
    known = {}

    def export(path, *flags, glob="*"):
        key = (path, glob, *flags)
        if key not in known:
            folder = tmp_path_factory.mktemp("exported") / "kernels"
            tools.run("whit-compile", path, f"--export-kernels={glob}", "-o", folder, *flags)
            known[key] = folder, load(folder)
        return known[key]

    return export


def rows(count=ROWS, columns=COLUMNS, seed=2):
    return np.random.default_rng(seed).standard_normal((count, columns)).astype(np.float32)


PRODUCTS = [(), ("--weights=int4_g32", "--activations=f32"), ("--weights=nf4",), ("--weights=int4_g32", "--activations=int8"),
            ("--weights=q4_k", "--quantizer=nearest")]


@pytest.mark.parametrize("flags", PRODUCTS, ids=" ".join)
def test_a_product_has_the_bits_of_the_model(tools, compiled, exported, product, flags):
    kernels = exported(product, *flags)[1]
    *before, multiply = kernels.values()
    packed = multiply.pack("w", weights())
    for count in (ROWS, 33):
        x = rows(count)
        given = [x]
        for kernel in before:  # activations become integers in a kernel of their own
            given = kernel(*given)
        y = multiply(*given, packed)
        assert y.shape == (count, OUTPUTS)
        np.testing.assert_array_equal(y, tools.infer(compiled(product, *flags)[0], {"x": x})["y"])
    assert len(before) == (flags in [("--weights=int4_g32", "--activations=int8"), ("--weights=q4_k", "--quantizer=nearest")])


@pytest.mark.parametrize("flags", PRODUCTS, ids=" ".join)
def test_a_packed_weight_is_what_the_model_has_stored(compiled, exported, product, flags):
    """So that weights of the model's own .safetensors can be given to its kernels."""
    artifact = compiled(product, *flags)[0]
    *_, multiply = exported(product, *flags)[1].values()
    data = artifact.with_suffix(".safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    (name,) = multiply.description["regions"][0]["reads"].values() & json.loads(data[8:8 + length]).keys()
    begin, end = json.loads(data[8:8 + length])[name]["data_offsets"]
    stored, packed = data[8 + length + begin:8 + length + end], multiply.pack("w", weights()).tobytes()
    assert stored[:len(packed)] == packed and not any(stored[len(packed):])  # tensors are padded to 64 bytes


def test_codes_and_scales_are_packed_as_they_are(exported, product):
    (multiply,) = exported(product, "--weights=int4_g32", "--activations=f32")[1].values()
    random = np.random.default_rng(3)
    codes = random.integers(0, 16, (OUTPUTS, COLUMNS), dtype=np.uint8)
    scales = random.uniform(0.01, 1, (OUTPUTS, COLUMNS // 32)).astype(np.float16).astype(np.float32)
    x = rows()
    exact = x.astype(np.float64) @ ((codes.astype(np.float64) - 8) * scales.repeat(32, 1)).T
    np.testing.assert_allclose(multiply(x, multiply.pack_codes("w", codes, scales)), exact, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="code 7 is 16; codes have 4 bits"):
        codes[0, 7] = 16
        multiply.pack_codes("w", codes, scales)
    with pytest.raises(ValueError, match="scale 0 is .* it must be a finite number of f16"):
        multiply.pack_codes("w", np.zeros_like(codes), scales * np.float32(1.0001))
    with pytest.raises(ValueError, match="has no zeros"):
        multiply.pack_codes("w", np.zeros_like(codes), scales, scales)


def test_a_norm_has_the_bits_of_the_model(tools, compiled, exported, tmp_path):
    scale = np.linspace(0.5, 2, COLUMNS).astype(np.float32)
    path = model(tmp_path / "norm.onnx", [helper.make_node("RMSNormalization", ["x", "scale"], ["y"], name="norm", axis=-1)],
                 [("x", ["rows", COLUMNS])], [("y", ["rows", COLUMNS])], {"scale": scale})
    (norm,) = exported(path)[1].values()
    assert norm.name == "norm" and norm.description["computes"] == ["whit.rms_norm"]
    np.testing.assert_array_equal(norm(rows(), scale), tools.infer(compiled(path)[0], {"x": rows()})["y"])


def run_chain(kernels, values, sizes):
    """All regions of a model in their order, each by the kernel that computes it. `values`: what the model's inputs, states and weights
    are, by name; it gets everything that is computed. `sizes`: the model's symbols."""
    for region, kernel in sorted(((r, k) for k in kernels.values() for r in k.description["regions"]), key=lambda pair: pair[0]["id"]):
        known = {}
        for name in kernel.parameters:
            factors = kernel.symbols[name].get("meaning", name).split(" * ")
            if all(factor in sizes for factor in factors):
                known[name] = int(np.prod([sizes[factor] for factor in factors]))
        given = []
        for argument in kernel.given:
            # What no region computes are the last rows of what the last one did, and here these are all.
            array = values[region["reads"][argument["name"]]] if argument["name"] in region["reads"] else last
            array = array.reshape([size if isinstance(size, int) else known.get(size, -1) for size in argument["shape"]])
            given.append(array.copy() if argument["role"] == "inout" else array)
        outputs = kernel(*given, **known)
        written = dict(zip([a["name"] for a in kernel.given], given)) | dict(
            zip([a["name"] for a in kernel.outputs], outputs if isinstance(outputs, tuple) else (outputs,)))
        values.update({value: written[name] for name, value in region["writes"].items()})
        last = outputs


def test_attention_has_the_bits_of_the_model(tools, compiled, exported, tmp_path):
    shape = ["batch", 4, "sequence", 32]
    path = model(tmp_path / "attention.onnx", [helper.make_node("Attention", ["q", "k", "v"], ["y"], name="attention", is_causal=1)],
                 [(name, shape) for name in "qkv"], [("y", shape)])
    kernels = exported(path, "--export-as=c")[1]
    assert any("whit.attention" in kernel.description["computes"] for kernel in kernels.values())
    feeds = {name: np.random.default_rng(i).standard_normal((2, 4, 19, 32)).astype(np.float32) for i, name in enumerate("qkv")}
    memory = dict(feeds)
    run_chain(kernels, memory, {"batch": 2, "sequence": 19})
    np.testing.assert_array_equal(memory["y"].reshape(2, 4, 19, 32), tools.infer(compiled(path)[0], feeds)["y"])


def test_a_whole_model_is_a_chain_of_its_kernels(tools, compiled, exported, tiny):
    """Lookup, norms, rotary embeddings, caches, attention and int4 products of a language model: the model's own packed weights and logits."""
    flags = ("--context=64",)
    kernels, artifact = exported(tiny, *flags)[1], compiled(tiny, *flags)[0]
    ids = np.array([[3, 14, 15, 9, 26, 5, 3]])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids),
             **{f"past_key_values.{layer}.{part}": np.zeros((1, 2, 0, 16), np.float32) for layer in range(2) for part in ("key", "value")}}
    from safetensors.numpy import load_file

    memory = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    stored = load_file(artifact.with_suffix(".safetensors"))
    for kernel in kernels.values():
        for argument in kernel.arguments:
            for region in kernel.description["regions"]:
                source = region["reads"].get(argument["name"], "")
                if argument["role"] == "weight":
                    dtype = np.dtype({"f32": np.float32, "i8": np.int8}[argument["dtype"]])
                    memory[source] = stored[source][:int(np.prod(argument["shape"])) * dtype.itemsize].view(dtype).reshape(argument["shape"])
                elif source.startswith("past_key_values"):
                    memory[source] = np.zeros([1 if isinstance(size, str) else size for size in argument["shape"]], np.float32)
    run_chain(kernels, memory, {"batch_size": 1, "sequence_length": 7, "total_sequence_length": 7, "past_sequence_length": 0, "whit.last_rows": 7})
    np.testing.assert_array_equal(memory["logits"].reshape(1, 7, -1), tools.infer(artifact, feeds)["logits"])


def test_layers_share_their_kernels(exported, tiny):
    """Regions that differ in weights only are one kernel; what it is called does not depend on what else is exported."""
    kernels = exported(tiny, "--context=64")[1]
    regions = [region["id"] for kernel in kernels.values() for region in kernel.description["regions"]]
    assert sorted(regions) == list(range(len(regions))) and len(kernels) < 0.7 * len(regions)
    first = exported(tiny, "--context=64", glob="*layers.0*norm*")[1]
    assert 0 < len(first) < len(kernels) and first.keys() <= kernels.keys()


def test_names_do_not_collide(tools, tmp_path):
    """Names of nodes and of dimensions are the model's: keywords, functions of libm that the library calls, and names of arguments."""
    path = model(tmp_path / "names.onnx", [helper.make_node("Exp", ["a"], ["b"], name="exp"), helper.make_node("Softmax", ["c"], ["d"], name="while", axis=-1),
                                           helper.make_node("Cos", ["e"], ["f"], name="9 lives"),
                                           helper.make_node("Sin", ["g"], ["h"], name="*/ int i;\n#error /*")],
                 [("g", ["*/ j", 3]), ("a", ["x", "int"]), ("c", ["workspace", 8]), ("e", ["out", "y"])], [("h", ["*/ j", 3]), ("b", ["x", "int"]), ("d", ["workspace", 8]), ("f", ["out", "y"])])
    tools.run("whit-compile", path, "--export-kernels=*", "--target=x86-64-v3", "--export-as=c", "-o", tmp_path / "k")
    kernels = load(tmp_path / "k")
    assert set(kernels) == {"exp_kernel", "while_kernel", "k_9_lives", "int_i_error"}
    x = rows(3, 8)
    np.testing.assert_allclose(kernels["exp_kernel"](x), np.exp(x), rtol=1e-5)
    np.testing.assert_allclose(kernels["while_kernel"](x), np.exp(x) / np.exp(x).sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(kernels["k_9_lives"](x), np.cos(x), rtol=1e-4, atol=1e-6)
    compiler = next((c for c in ("cc", "clang-22", "clang", "gcc") if shutil.which(c)), None)
    if compiler:
        for language in ("c", "c++"):
            subprocess.run([compiler, "-x", language, "-fsyntax-only", "-Wall", "-Werror", str(tmp_path / "k/kernels.h")], check=True)


def test_wrong_calls_are_refused(exported, product):
    folder, kernels = exported(product, "--weights=int4_g32", "--activations=f32")
    (multiply,) = kernels.values()
    x, packed = rows(), multiply.pack("w", weights())
    y = np.empty((ROWS, OUTPUTS), np.float32)
    for problem, arguments, out in [
            ("'x' has shape", (rows(ROWS, COLUMNS + 1), packed), None), ("'x' has 1 dimensions", (x[0], packed), None),
            ("'x' has dtype float64", (x.astype(np.float64), packed), None), ("'x' must be contiguous", (x[:, ::-1], packed), None),
            ("needs a numpy array", (None, packed), None), ("2 arrays, not 1", (x,), None), ("'w' has shape", (x, packed[:-1]), None),
            ("'y' has shape", (x, packed), y[:-1])]:
        with pytest.raises((TypeError, ValueError), match=problem):
            multiply(*arguments, out=out)
    for problem, values in [("need \\(80, 96\\)", weights(OUTPUTS, COLUMNS - 1)), ("NaN", np.full((OUTPUTS, COLUMNS), np.nan))]:
        with pytest.raises(ValueError, match=problem):
            multiply.pack("w", values)
    # What the C functions say of pointers and sizes.
    call, name = multiply.function, multiply.name
    pointers = [x.ctypes.data, packed.ctypes.data, y.ctypes.data]
    for i in range(3):
        assert call(ROWS, *[None if j == i else p for j, p in enumerate(pointers)], None, None) == -1
    assert call(-1, *pointers, None, None) == -2 and call(1 << 41, *pointers, None, None) == -2
    assert call(ROWS, pointers[0] + 1, *pointers[1:], None, None) == -3
    assert call(0, None, pointers[1], None, None, None) == 0  # nothing to do
    assert multiply.workspace(-1) == -2 and multiply.workspace(ROWS) == 0
    pack = multiply.library[name + "_pack_w"]
    assert pack(None, ctypes.c_void_p(packed.ctypes.data), None, ctypes.c_size_t(0)) == -1
    assert pack(ctypes.c_void_p(x.ctypes.data), None, None, ctypes.c_size_t(0)) == -1
    assert call(ROWS, *pointers, None, None) == 0


def test_work_goes_where_the_context_says(exported, product):
    """A context of the caller's own: parts in any order, bit for bit the same."""
    (multiply,) = exported(product, "--weights=int4_g32", "--activations=f32")[1].values()
    x, packed = rows(40), multiply.pack("w", weights())
    body_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    parallel_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, body_type, ctypes.c_void_p, ctypes.c_int64)
    parts = []

    def parallel(context, body, captured, count):
        for i in reversed(range(count)):
            parts.append(i)
            body(captured, i, i + 1)

    class Context(ctypes.Structure):
        _fields_ = [("parallel", parallel_type)] + [(name, ctypes.c_void_p) for name in ("observe", "runtime", "launch", "status")]

    context, y = Context(parallel_type(parallel)), np.empty((40, OUTPUTS), np.float32)
    assert multiply.function(40, x.ctypes.data, packed.ctypes.data, y.ctypes.data, None, ctypes.addressof(context)) == 0
    assert len(parts) > 1
    np.testing.assert_array_equal(y, multiply(x, packed))


class DeviceContext(ctypes.Structure):
    """A WhitContext that launches."""

    LAUNCH = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_uint64), ctypes.c_int32)
    _fields_ = [(name, ctypes.c_void_p) for name in ("parallel", "observe", "runtime")] + [("launch", LAUNCH), ("status", ctypes.c_void_p)]

    def __init__(self, launch):
        self.problem = None

        def kept(_, *arguments):
            try:
                launch(*arguments)
            except BaseException as problem:  # ctypes would print it and go on
                self.problem = problem

        super().__init__(launch=self.LAUNCH(kept))

    def reraise(self):
        if self.problem:
            raise self.problem


@pytest.mark.parametrize("target, image", [("sm_80", "ptx"), ("gfx942", "hsaco")])
def test_kernels_of_a_gpu_are_launched_by_the_caller(exported, product, target, image):
    """Without a GPU: what `launch` is asked for, against what the image takes. That kernels compute what they should is the simulator's to
    find (whole models of the same code)."""
    folder, kernels = exported(product, "--weights=int4_g32", "--activations=f32", f"--target={target}")
    (multiply,) = kernels.values()
    device = multiply.description["device"]
    assert {"kind": image, "architecture": target, "file": f"{multiply.name}.{image}"} in device["images"]
    functions = device["functions"]  # for few rows and for many
    launches, pointers = [], [0x7000000, 0x8000000, 0x9000000]
    context = DeviceContext(lambda kernel, shape, words, count: launches.append((kernel, shape[:3], shape[3:6], words[:count])))
    for count in (1, 100):
        assert multiply.function(count, *pointers, 0xa000000, ctypes.addressof(context)) == 0
    (first, few, block, words), (second, many, wide, more) = launches
    assert [block, wide] == [functions[first]["block"], functions[second]["block"]] and {first, second} == {0, 1}
    assert np.prod(many) >= 1 and np.prod(few) >= 1
    assert set(pointers) <= set(words) and 1 in words and 100 in more
    if image == "ptx":
        text = (folder / f"{multiply.name}.ptx").read_text()
        for function, given in ((functions[first], words), (functions[second], more)):
            entry = text[text.index(f".entry {function['name']}("):]
            assert entry[:entry.index(")")].count(".param") == len(given)
    # A call without a context, and numpy's, are refused; weights are packed as for a CPU.
    assert multiply.function(1, *pointers, None, None) == -6
    packed = multiply.pack("w", weights())
    with pytest.raises(ValueError, match="it runs on a GPU"):
        multiply(rows(), packed)
    assert len(packed.tobytes()) == multiply.argument("w")["layout"]["bytes"]


class SimulatedGpu:
    """The virtual functions of include/whit/Device.h, in their order behind two destructors."""

    def __init__(self, target):
        library = BUILD / "lib/libWhitSim.so"
        if not library.exists():
            missing(f"{library} is not built")
        opened, why = ctypes.CDLL(str(library)).whit_open_simulator, ctypes.create_string_buffer(512)
        opened.restype = ctypes.c_void_p
        self.this = opened(target.encode(), why, ctypes.c_size_t(len(why)))
        assert self.this, why.value
        self.table = ctypes.cast(ctypes.cast(self.this, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p))

    def call(self, slot, *arguments):
        function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, *[type(a) for a in arguments])(self.table[slot])
        assert function(self.this, *arguments) == 0

    def pointer(self, slot, *arguments):
        result = ctypes.c_void_p()
        self.call(slot, *arguments, ctypes.cast(ctypes.byref(result), ctypes.c_void_p))
        return result.value

    def load(self, bitcode):
        return self.pointer(6, ctypes.c_uint8(3), ctypes.c_char_p(bitcode), ctypes.c_size_t(len(bitcode)))

    def find(self, image, name):
        return self.pointer(7, ctypes.c_void_p(image), ctypes.c_char_p(name.encode()))

    def array(self, values):
        memory = self.pointer(8, ctypes.c_size_t(values.nbytes))
        self.call(10, ctypes.c_void_p(memory), ctypes.c_void_p(values.ctypes.data), ctypes.c_size_t(values.nbytes))
        return memory

    def copy_out(self, values, memory):
        self.call(11, ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(memory), ctypes.c_size_t(values.nbytes))

    def launch(self, kernel, shape, words, count):
        described = (ctypes.c_uint32 * 7)(*shape[:7])
        self.call(12, ctypes.c_void_p(kernel), ctypes.cast(described, ctypes.c_void_p), ctypes.cast(words, ctypes.c_void_p), ctypes.c_int32(count))


@pytest.mark.parametrize("target", ["sm_80", "gfx942"])
def test_exported_kernels_of_a_gpu_compute(exported, product, target):
    """In the simulator, launched as a program of one's own would."""
    gpu, flags = SimulatedGpu(target), ("--weights=int4_g32", "--activations=f32")
    folder, kernels = exported(product, *flags, f"--target={target}", "--simulation")
    (multiply,), (on_cpu,) = kernels.values(), exported(product, *flags)[1].values()
    image = gpu.load((folder / f"{multiply.name}.bitcode").read_bytes())
    functions = [gpu.find(image, function["name"]) for function in multiply.description["device"]["functions"]]
    packed, x, y = multiply.pack("w", weights()), rows(), np.full((ROWS, OUTPUTS), np.nan, np.float32)
    np.testing.assert_array_equal(packed, on_cpu.pack("w", weights()))
    memory = gpu.array(y)
    context = DeviceContext(lambda kernel, shape, words, count: gpu.launch(functions[kernel], shape, words, count))
    context.status = gpu.array(np.zeros(1, np.int32))
    assert multiply.workspace(ROWS) == 0
    assert multiply.function(ROWS, gpu.array(x), gpu.array(packed), memory, None, ctypes.addressof(context)) == 0
    context.reraise()
    gpu.call(13)
    gpu.copy_out(y, memory)
    expected = on_cpu(x, packed)
    assert np.abs(y - expected).max() < 2e-2 * np.abs(expected).max()  # operands of 16 bits


def test_wrong_command_lines(tools, product, tmp_path):
    for code, message, flags in [
            (2, "no region is called 'nothing'", ("--export-kernels=nothing", "-o", tmp_path / "a")),
            (2, "/layer/MatMul", ("--export-kernels=nothing", "-o", tmp_path / "a")),
            (2, "there is no 'cobol'", ("--export-kernels=*", "--export-as=c,cobol", "-o", tmp_path / "a")),
            (2, "--export-kernels is missing", ("--export-as=c", "-o", tmp_path / "a.so")),
            (2, "add -o FOLDER", ("--export-kernels=*",)),
            (2, "leave out --emit", ("--export-kernels=*", "--emit=asm")),
            (2, "one --target", ("--export-kernels=*", "--target=x86-64-v3", "--target=x86-64-v4", "-o", tmp_path / "a")),
            (2, "kernels of a GPU are exported as c", ("--export-kernels=*", "--target=sm_80", "--export-as=torch", "-o", tmp_path / "a")),
            (4, "cannot make the folder", ("--export-kernels=*", "-o", product / "a"))]:
        done = tools.call("whit-compile", product, *flags)
        assert done.code == code and message in done.err, (flags, done.code, done.err)
    assert not (tmp_path / "a").exists()


def test_the_header_is_all_that_c_needs(exported, product, tmp_path):
    compiler = next((c for c in ("cc", "clang-22", "clang", "gcc") if shutil.which(c)), None)
    if compiler is None:
        pytest.skip("no C compiler")
    folder, kernels = exported(product, "--weights=int4_g32", "--activations=f32")
    (multiply,) = kernels.values()
    (tmp_path / "main.c").write_text(f"""
#include "kernels.h"
#include <stdio.h>
static float x[{ROWS}][{COLUMNS}], w[{OUTPUTS}][{COLUMNS}], y[{ROWS}][{OUTPUTS}];
static _Alignas(64) char packed[{multiply.name}_w_bytes];
int main(void) {{
  char why[256] = "";
  if (fread(x, sizeof x, 1, stdin) != 1 || fread(w, sizeof w, 1, stdin) != 1)
    return 1;
  if ({multiply.name}_pack_w(&w[0][0], packed, why, sizeof why) || {multiply.name}_workspace({ROWS}) != 0)
    return fprintf(stderr, "%s\\n", why), 2;
  if ({multiply.name}({ROWS}, &x[0][0], packed, &y[0][0], NULL, NULL) != WHIT_KERNEL_DONE)
    return 3;
  return fwrite(y, sizeof y, 1, stdout) != 1;
}}
""")
    expected = multiply(rows(), multiply.pack("w", weights()))
    for linked in ([str(folder / "kernels.so"), f"-Wl,-rpath,{folder}"], [str(folder / "kernels.o"), "-lm", "-lpthread"],
                   [str(folder / "kernels.o"), "-lstdc++", "-lm", "-lpthread", "-Wl,--gc-sections"]):
        subprocess.run([compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", str(tmp_path / "main.c"), f"-I{folder}", *linked,
                        "-o", str(tmp_path / "main")], check=True)
        done = subprocess.run([str(tmp_path / "main")], input=rows().tobytes() + weights().tobytes(), capture_output=True, check=True)
        np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32).reshape(ROWS, OUTPUTS), expected)
    shown = subprocess.run(["readelf", "-d", str(folder / "kernels.so")], capture_output=True, text=True)
    if shown.returncode == 0:
        needed = {line.split("[")[1].rstrip("]") for line in shown.stdout.splitlines() if "NEEDED" in line}
        assert needed == {"libc.so.6", "libm.so.6"}
