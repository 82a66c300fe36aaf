# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kernels of this folder as functions of JAX, on the CPU.

    import kernels_jax
    functions = kernels_jax.register()
    w = kernels_jax.pack(functions["NAME"], "w", values)
    y = jax.jit(functions["NAME"])(x, w)       # inputs, weights, and what is updated; sizes that no array has by keyword

Nothing is updated in place: what a kernel updates is the first of its results. Kernels that take i64 need jax_enable_x64.
"""
import jax
import jax.numpy as jnp
import numpy as np

import kernels_numpy

DTYPES = {"f32": jnp.float32, "f16": jnp.float16, "bf16": jnp.bfloat16, "i64": jnp.int64, "i32": jnp.int32, "i16": jnp.int16,
          "i8": jnp.int8, "u8": jnp.uint8, "bool": jnp.bool_}


class Function:
    def __init__(self, kernel):
        self.kernel = kernel
        # Two folders may have kernels of one name.
        self.target = f"whit_{kernel.name}_{id(kernel.library):x}"
        handler = getattr(kernel.library, kernel.name + "_xla", None)
        if handler is None:
            raise RuntimeError("these kernels were exported without --export-as=jax")
        jax.ffi.register_ffi_target(self.target, jax.ffi.pycapsule(handler), platform="cpu")

    def __call__(self, *arrays, **sizes):
        kernel = self.kernel
        if len(arrays) != len(kernel.given):
            raise TypeError(f"{kernel.name} takes {', '.join(a['name'] for a in kernel.given)}: {len(kernel.given)} arrays, not {len(arrays)}")
        symbols = kernels_numpy.Sizes(kernel, sizes)
        for argument, array in zip(kernel.given, arrays):
            if array.dtype != DTYPES[argument["dtype"]]:
                raise TypeError(f"{kernel.name}: '{argument['name']}' has dtype {array.dtype}, needs {argument['dtype']}")
            symbols.bind(argument, array.shape)
        for argument, array in zip(kernel.given, arrays):
            symbols.check(argument, array.shape)
        updated = [i for i, argument in enumerate(kernel.given) if argument["role"] == "inout"]
        results = [jax.ShapeDtypeStruct(symbols.shape(a), DTYPES[a["dtype"]]) for a in [kernel.given[i] for i in updated] + kernel.outputs]
        call = jax.ffi.ffi_call(self.target, results, vmap_method="sequential",
                                input_output_aliases={given: result for result, given in enumerate(updated)})
        numbers = {name: np.int64(symbols[name]) for name in kernel.parameters if kernel.symbols[name].get("explicit")}
        values = call(*arrays, **numbers)
        return values[0] if len(values) == 1 else tuple(values)


def pack(function, name, values):
    """A weight [rows, columns] of floats as the array that the function takes."""
    return jnp.asarray(function.kernel.pack(name, np.asarray(values)))


def register(folder=None):
    """All kernels of a folder as functions, by name."""
    return {name: Function(kernel) for name, kernel in kernels_numpy.load(folder).items()}
