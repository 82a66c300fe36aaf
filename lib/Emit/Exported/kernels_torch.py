# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kernels of this folder as operators of PyTorch, on CPU tensors.

    import kernels_torch
    ops = kernels_torch.register()             # torch.ops.whit.NAME too
    w = kernels_torch.pack(ops["NAME"], "w", values)
    y = ops["NAME"](x, w)                      # inputs, weights, what is updated in place, then sizes that no tensor has

They have no gradients, and shapes that torch.compile knows: a compiled function has them in its graph.
"""
import torch

import kernels_numpy

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64, "i32": torch.int32, "i16": torch.int16,
          "i8": torch.int8, "u8": torch.uint8, "bool": torch.bool}


class Operator:
    def __init__(self, kernel, namespace):
        self.kernel, self.name = kernel, f"{namespace}::{kernel.name}"
        shown = {size for a in kernel.arguments for size in a["shape"] if isinstance(size, str)}
        self.numbers = [name for name in kernel.parameters if kernel.symbols[name].get("explicit")]
        # Sizes of outputs only: no tensor that is given says them.
        said = {size for a in kernel.given for size in a["shape"] if isinstance(size, str)}
        self.numbers += [name for name in kernel.parameters if name in shown and name not in said]
        updated = [a["name"] for a in kernel.given if a["role"] == "inout"]
        arguments = [f"Tensor({chr(97 + updated.index(a['name']))}!) {a['name']}" if a["name"] in updated else f"Tensor {a['name']}"
                     for a in kernel.given] + [f"SymInt {name}" for name in self.numbers]
        results = {0: "()", 1: "Tensor"}.get(len(kernel.outputs), "(" + ", ".join(["Tensor"] * len(kernel.outputs)) + ")")
        self.op = torch.library.custom_op(self.name, self.compute, mutates_args=updated, device_types="cpu",
                                          schema=f"({', '.join(arguments)}) -> {results}")
        self.op.register_fake(self.shapes)

    def __call__(self, *arguments):
        return self.op(*arguments)

    def bound(self, arguments):
        kernel, tensors = self.kernel, arguments[:len(self.kernel.given)]
        symbols = kernels_numpy.Sizes(kernel, dict(zip(self.numbers, arguments[len(tensors):])))
        for argument, tensor in zip(kernel.given, tensors):
            if tensor.dtype != DTYPES[argument["dtype"]]:
                raise TypeError(f"{kernel.name}: '{argument['name']}' has dtype {tensor.dtype}, needs {argument['dtype']}")
            symbols.bind(argument, tensor.shape)
        for argument, tensor in zip(kernel.given, tensors):
            symbols.check(argument, tensor.shape)
        outputs = [tensors[0].new_empty(symbols.shape(a), dtype=DTYPES[a["dtype"]]) if tensors else
                   torch.empty(symbols.shape(a), dtype=DTYPES[a["dtype"]]) for a in kernel.outputs]
        return symbols, tensors, outputs

    def results(self, outputs):
        return None if not outputs else outputs[0] if len(outputs) == 1 else tuple(outputs)

    def shapes(self, *arguments):
        return self.results(self.bound(arguments)[2])

    def compute(self, *arguments):
        symbols, tensors, outputs = self.bound(arguments)
        given = []
        for argument, tensor in zip(self.kernel.given, tensors):
            if not tensor.is_contiguous():
                if argument["role"] == "inout":
                    raise ValueError(f"{self.kernel.name}: '{argument['name']}' is updated in place and must be contiguous")
                tensor = tensor.contiguous()
            given.append(tensor)
        self.kernel.run(symbols, [tensor.data_ptr() for tensor in [*given, *outputs]])
        return self.results(outputs)


def pack(operator, name, values):
    """A weight [rows, columns] of floats as the tensor that the operator takes."""
    return torch.from_numpy(operator.kernel.pack(name, values.detach().to(torch.float32).numpy()))


def register(folder=None, namespace="whit"):
    """All kernels of a folder as operators, by name. A name can be registered once in a process."""
    return {name: Operator(kernel, namespace) for name, kernel in kernels_numpy.load(folder).items()}
