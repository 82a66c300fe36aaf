# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls the kernels of this folder with numpy arrays.

    import kernels_numpy
    kernel = kernels_numpy.load()["NAME"]         # names: kernels.json
    w = kernel.pack("w", values)            # once: [rows, columns] of float32, into the kernel's own layout
    y = kernel(x, w)                        # inputs, weights, and what is updated in place; outputs are returned

Needs numpy and nothing of Whit. Arrays of bfloat16 are ml_dtypes.bfloat16 or uint16.
"""
import ctypes
import json
import pathlib

import numpy as np

DTYPES = {"f32": "float32", "f16": "float16", "bf16": "uint16", "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8",
          "u8": "uint8", "bool": "bool", "u32": "uint32", "u64": "uint64", "f64": "float64"}
STATUS = {1: "an index is outside of its table", 2: "a position does not fit the cache", -1: "a pointer is null",
          -2: "a size is negative or too large", -3: "memory is not aligned", -4: "out of memory",
          -6: "it runs on a GPU, and is called from programs that launch its functions; numpy can only pack its weights"}
OPERATORS = {"+": lambda a, b: a + b, "*": lambda a, b: a * b, "/": lambda a, b: a // b, "%": lambda a, b: a % b,
             "ceildiv": lambda a, b: -(-a // b)}


def aligned(shape, dtype, alignment=64):
    """An array whose memory starts at a multiple of `alignment`, which may be no array's own."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + alignment, np.uint8)
    begin = -memory.ctypes.data % alignment
    return memory[begin:begin + size].view(dtype).reshape(shape)


class Sizes:
    """The symbols of a kernel, bound one shape at a time."""

    def __init__(self, kernel, given):
        self.kernel, self.values = kernel, {}
        for name, value in given.items():
            if name not in kernel.parameters:
                raise TypeError(f"{kernel.name} has no size '{name}'; its sizes are {', '.join(kernel.parameters) or 'none'}")
            self.values[name] = value

    def compute(self, value):
        if isinstance(value, list):
            return OPERATORS[value[0]](self.compute(value[1]), self.compute(value[2]))
        return self[value] if isinstance(value, str) else value

    def __getitem__(self, name):
        if name not in self.values:
            symbol = self.kernel.symbols[name]
            if "value" not in symbol:
                raise TypeError(f"{self.kernel.name}: no argument says the size '{name}'; give it by keyword, or give out=")
            self.values[name] = self.compute(symbol["value"])
        return self.values[name]

    def bind(self, argument, shape):
        wanted = argument["shape"]
        if len(shape) != len(wanted):
            raise ValueError(f"{self.kernel.name}: '{argument['name']}' has {len(shape)} dimensions, needs {len(wanted)}: {wanted}")
        for size, want in zip(shape, wanted):
            if isinstance(want, str) and "value" not in self.kernel.symbols[want]:
                self.values.setdefault(want, size)

    def check(self, argument, shape):
        wanted = tuple(self.shape(argument))
        if tuple(shape) != wanted:
            raise ValueError(f"{self.kernel.name}: '{argument['name']}' has shape {tuple(shape)}, needs {wanted} from {argument['shape']}")

    def shape(self, argument):
        return [self[size] if isinstance(size, str) else size for size in argument["shape"]]


class Kernel:
    def __init__(self, library, description):
        self.library, self.description, self.name = library, description, description["name"]
        self.symbols = {symbol["name"]: symbol for symbol in description["symbols"]}
        self.parameters = [name for name, symbol in self.symbols.items() if "value" not in symbol]
        self.arguments = description["arguments"]
        self.given = [a for a in self.arguments if a["role"] != "output"]
        self.outputs = [a for a in self.arguments if a["role"] == "output"]
        self.function = library[self.name]
        self.function.argtypes = [ctypes.c_int64] * len(self.parameters) + [ctypes.c_void_p] * (len(self.arguments) + 2)
        self.function.restype = ctypes.c_int32
        self.workspace = library[self.name + "_workspace"]
        self.workspace.argtypes, self.workspace.restype = [ctypes.c_int64] * len(self.parameters), ctypes.c_int64

    def __repr__(self):
        shown = [f"{a['name']}: {a['dtype']}{a['shape']}" for a in self.arguments]
        return f"<kernel {self.name}({', '.join(shown)})>"

    def argument(self, name):
        for argument in self.arguments:
            if argument["name"] == name:
                return argument
        raise KeyError(f"{self.name} has no argument '{name}'; it has {', '.join(a['name'] for a in self.arguments)}")

    # ------------------------------------------------------------------------------------------------ packing

    def pack(self, name, values):
        """A weight [rows, columns] of floats, quantized and packed: the array that the kernel takes."""
        argument, layout = self.packed(name)
        values = np.ascontiguousarray(values, np.float32)
        self.want(name, "values", values, (layout["rows"], layout["columns"]))
        return self.run_packer(argument["pack"], argument, values)

    def pack_codes(self, name, codes, scales, zeros=None):
        """The same from codes [rows, columns] and scales (and zeros) [rows, groups]."""
        argument, layout = self.packed(name)
        if "pack_codes" not in argument:
            raise TypeError(f"{self.name}: codes of {layout['format']} cannot be given; pack() takes floats")
        codes = np.ascontiguousarray(codes, np.uint8)
        self.want(name, "codes", codes, (layout["rows"], layout["columns"]))
        factors = []
        for what, factor in (("scales", scales), ("zeros", zeros)):
            if factor is not None:
                factor = np.ascontiguousarray(factor, np.float32)
                self.want(name, what, factor, (layout["rows"], argument["groups"]))
            factors.append(factor)
        if (zeros is not None) != argument["zeros"]:
            raise ValueError(f"{self.name}: {layout['format']} has {'' if argument['zeros'] else 'no '}zeros")
        return self.run_packer(argument["pack_codes"], argument, codes, *factors)

    def packed(self, name):
        argument = self.argument(name)
        if "layout" not in argument:
            raise TypeError(f"{self.name}: '{name}' is not packed; give it as {argument['dtype']}{argument['shape']}")
        return argument, argument["layout"]

    def want(self, name, what, array, shape):
        if array.shape != shape:
            raise ValueError(f"{self.name}: {what} of '{name}' have shape {array.shape}, need {shape}")

    def run_packer(self, function, argument, *arrays):
        packed, why = aligned(argument["shape"], np.int8), ctypes.create_string_buffer(512)
        pointers = [ctypes.c_void_p(None if a is None else a.ctypes.data) for a in (*arrays, packed)]
        packer = self.library[function]
        packer.restype = ctypes.c_int32
        if packer(*pointers, why, ctypes.c_size_t(len(why))):
            raise ValueError(f"{function}: {why.value.decode(errors='replace')}")
        return packed

    # ------------------------------------------------------------------------------------------------ calling

    def checked(self, argument, array):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{self.name}: '{argument['name']}' is {type(array).__name__}, needs a numpy array")
        dtype = DTYPES[argument["dtype"]]
        if argument["dtype"] == "bf16" and array.dtype.name == "bfloat16":
            array = array.view(np.uint16)
        if array.dtype != dtype:
            raise TypeError(f"{self.name}: '{argument['name']}' has dtype {array.dtype}, needs {argument['dtype']}")
        if not array.flags.c_contiguous or not array.dtype.isnative:
            raise ValueError(f"{self.name}: '{argument['name']}' must be contiguous; numpy.ascontiguousarray copies")
        if argument["role"] in ("inout", "output") and not array.flags.writeable:
            raise ValueError(f"{self.name}: '{argument['name']}' is written, and the array is read-only")
        return array

    def run(self, symbols, memory):
        """With the addresses of all arguments, which have been checked."""
        values = [symbols[name] for name in self.parameters]
        size = self.workspace(*values)
        if size < 0:
            raise ValueError(f"{self.name}: a size is negative or too large: {dict(zip(self.parameters, values))}")
        workspace = aligned([size], np.uint8) if size else None
        status = self.function(*values, *memory, workspace.ctypes.data if size else None, None)
        if status:
            raise (IndexError if status == 1 else ValueError)(f"{self.name}: {STATUS.get(status, f'status {status}')}")

    def __call__(self, *arrays, out=None, **sizes):
        """`out`: an array (or a tuple of them) that takes the outputs. `sizes`: those that no array says."""
        if len(arrays) != len(self.given):
            raise TypeError(f"{self.name} takes {', '.join(a['name'] for a in self.given)}: {len(self.given)} arrays, not {len(arrays)}")
        outputs = list(out) if isinstance(out, (tuple, list)) else [] if out is None else [out]
        if out is not None and len(outputs) != len(self.outputs):
            raise TypeError(f"{self.name} has {len(self.outputs)} outputs, out= has {len(outputs)}")
        symbols = Sizes(self, sizes)
        known = [(a, self.checked(a, array)) for a, array in zip(self.given + self.outputs, [*arrays, *outputs])]
        for argument, array in known:
            symbols.bind(argument, array.shape)
        for argument, array in known:
            symbols.check(argument, array.shape)
        results = [array for _, array in known[len(self.given):]]
        for argument in self.outputs[len(results):]:
            results.append(aligned(symbols.shape(argument), DTYPES[argument["dtype"]]))
        self.run(symbols, [array.ctypes.data for array in [array for _, array in known[:len(self.given)]] + results])
        return out if out is not None else results[0] if len(results) == 1 else tuple(results)


def load(folder=None):
    """All kernels of a folder, by name."""
    folder = pathlib.Path(folder or __file__).resolve()
    folder = folder.parent if folder.is_file() else folder
    description = json.loads((folder / "kernels.json").read_text())
    library = ctypes.CDLL(str(folder / description["library"]))
    return {kernel["name"]: Kernel(library, kernel) for kernel in description["kernels"]}
