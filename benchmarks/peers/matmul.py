# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One product y[M, N] = x[M, K] w[K, N] with low-bit weights, hot and cold, activations of f32 that the contestant quantizes itself.

Everybody reads the same ONNX file (MatMulNBits, random codes and scales). Hot: the same weights again and again. Cold: as many products with
weights of their own as fill `cold_mib`, each once a run. Formats that the operator has no bits for are measured for Whit alone, from random
weights in f32.
"""

import re

from contestant import best_seconds, compiled, whit_run
from encoder import session

ROWS = (1, 4, 8, 16, 64, 128)
MILLISECONDS = 1e3
PAGE = 4096
OWN_FORMATS = ("int4_g32", "int2_g32", "int3_g32", "nf4", "mxfp4")
OWN_ROWS, OWN_SHAPE = (1, 128), (4096, 4096)


def row(k, n, format_, m, is_cold=False):
    return f"matmul {k} x {n} {format_} M={m}{' cold' if is_cold else ''}"


def bits_and_block(format_):
    return tuple(map(int, re.fullmatch(r"int(\d)_g(\d+)", format_).groups()))


def bytes_of(k, n, format_):
    """Bytes of the codes and of the scales of a weight, each in whole pages so that files of them can be mapped."""
    bits, block = bits_and_block(format_)
    blocks = n * -(-k // block)
    return tuple(-(-size // PAGE) * PAGE for size in (blocks * block * bits // 8, blocks * 4))


def write_weights(folder, k, n, format_, copies):
    """Random codes of all copies, then their scales."""
    import numpy
    random = numpy.random.default_rng(0)
    codes, scales = bytes_of(k, n, format_)
    with open(folder / "weights.bin", "wb") as file:
        for _ in range(copies):
            file.write(random.bytes(codes))
        for _ in range(copies):
            file.write((random.random(scales // 4, numpy.float32) * 0.01).tobytes())


def write_model(folder, k, n, format_, copies):
    """An ONNX file with `copies` products of one activation, their weights in weights.bin of the same folder."""
    import numpy
    from onnx import StringStringEntryProto, TensorProto, helper
    bits, block = bits_and_block(format_)
    code_bytes, scale_bytes = bytes_of(k, n, format_)

    def external(name, offset, dtype, dims):
        size = int(numpy.prod(dims)) * numpy.dtype(dtype).itemsize
        place = {"location": "weights.bin", "offset": str(offset), "length": str(size)}
        return TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(numpy.dtype(dtype)), dims=dims,
                           data_location=TensorProto.EXTERNAL,
                           external_data=[StringStringEntryProto(key=key, value=value) for key, value in place.items()])
    blocks, nodes, weights = -(-k // block), [], []
    for i in range(copies):
        nodes.append(helper.make_node("MatMulNBits", ["x", f"w{i}", f"s{i}"], [f"y{i}"], f"product{i}", domain="com.microsoft", K=k, N=n, bits=bits,
                                      block_size=block, accuracy_level=4))
        weights += [external(f"w{i}", i * code_bytes, "uint8", [n, blocks, block * bits // 8]),
                    external(f"s{i}", copies * code_bytes + i * scale_bytes, "float32", [n, blocks])]
    graph = helper.make_graph(nodes, "matmul", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])],
                              [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, ["m", n]) for i in range(copies)], weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)])
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def model_of(options, k, n, format_, copies):
    def make(folder):
        write_weights(folder, k, n, format_, copies)
        write_model(folder, k, n, format_, copies)
    return options.cached(f"matmul-{k}x{n}-{format_}-{copies}", make) / "model.onnx"


def models(options):
    """(K, N, format, hot model, cold model, copies in it) of every shape and format."""
    for k, n in options.shapes:
        for format_ in options.formats:
            copies = -(-(options.cold_mib << 20) // sum(bytes_of(k, n, format_)))
            yield k, n, format_, model_of(options, k, n, format_, 1), model_of(options, k, n, format_, copies), copies


def onnxruntime_with(accuracy):
    """ONNX Runtime with activations quantized to int8 (4) or in f32 (1)."""
    def contestant(options):
        found = list(models(options))
        yield None
        import numpy
        for k, n, format_, hot, cold, copies in found:
            run = session(with_accuracy(hot, accuracy), options.threads)
            for m in ROWS:
                binding = run.io_binding()
                binding.bind_cpu_input("x", numpy.random.default_rng(m).standard_normal((m, k), numpy.float32))
                binding.bind_output("y0")
                yield row(k, n, format_, m), MILLISECONDS * best_seconds(lambda: run.run_with_iobinding(binding), 0.1)
            run, x = session(with_accuracy(cold, accuracy), options.threads), numpy.ones((1, k), numpy.float32)
            seconds = best_seconds(lambda: run.run([f"y{i}" for i in range(copies)], {"x": x}), 0.1)
            yield row(k, n, format_, 1, True), MILLISECONDS * seconds / copies
    return contestant


def with_accuracy(path, accuracy):
    import onnx
    changed = path.with_name(f"accuracy{accuracy}.onnx")
    if not changed.exists():
        model = onnx.load(path, load_external_data=False)
        for node in model.graph.node:
            next(a for a in node.attribute if a.name == "accuracy_level").i = accuracy
        onnx.save(model, changed)
    return changed


def milliseconds(artifact, options, m):
    return whit_run(artifact, options, "--benchmark=30", f"--dim=m={m}")["ms_min"]


def whit(options):
    found = [(k, n, format_, compiled(options, "hot", hot, "--activations=int8"),
              compiled(options, "cold", cold, "--activations=int8"), copies) for k, n, format_, hot, cold, copies in models(options)]
    yield None
    for k, n, format_, hot, cold, copies in found:
        for m in ROWS:
            yield row(k, n, format_, m), milliseconds(hot, options, m)
        yield row(k, n, format_, 1, True), milliseconds(cold, options, 1) / copies


def own_model(options):
    """A product with a weight in f32."""
    def make(folder):
        import numpy
        from onnx import TensorProto, helper, numpy_helper, save
        k, n = OWN_SHAPE
        weight = numpy_helper.from_array(numpy.random.default_rng(0).standard_normal((k, n), numpy.float32) / 64, "w")
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y0"], "product")], "matmul",
                                  [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", k])],
                                  [helper.make_tensor_value_info("y0", TensorProto.FLOAT, ["m", n])], [weight])
        save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]), folder / "model.onnx")
    return options.cached("matmul-f32", make) / "model.onnx"


def whit_formats(options):
    model = own_model(options)
    artifacts = {format_: compiled(options, f"matmul-{format_}", model, f"--weights={format_}") for format_ in OWN_FORMATS}
    yield None
    for format_, artifact in artifacts.items():
        for m in OWN_ROWS:
            yield row(*OWN_SHAPE, format_, m) + " (own)", milliseconds(artifact, options, m)


CONTESTANTS = {"ORT accuracy 4": onnxruntime_with(4), "ORT accuracy 1": onnxruntime_with(1), "Whit": whit}
FORMAT_CONTESTANTS = {"Whit": whit_formats}
