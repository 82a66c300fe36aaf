# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`onnx.backend.base.Backend` over Whit, for tools that run ONNX models on any backend; needs the onnx package.

    import whit.backend
    rep = whit.backend.prepare(onnx.load("model.onnx"))   # compiles for this machine
    outputs = rep.run([ids, mask])                        # in the order of the graph's inputs
"""
from __future__ import annotations

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, Device, DeviceType, namedtupledict

from .compiler import compile

__all__ = ["WhitBackend", "WhitBackendRep", "is_compatible", "prepare", "run_model", "run_node", "supports_device"]


def _given(array) -> np.ndarray:
    """An input as the module wants it: bf16 as its 16 bits, floats of 8 bits and fewer as their codes, integers of fewer than 8 bits in
    8, each in a byte of its own; numbers and stored tensors as arrays."""
    array = onnx.numpy_helper.to_array(array) if isinstance(array, onnx.TensorProto) else np.asarray(array)
    name = array.dtype.name
    if name == "bfloat16":
        array = array.view(np.uint16)
    elif name.startswith(("float8", "float4")):
        array = array.view(np.uint8)
    elif name in ("int4", "int2", "uint4", "uint2"):
        array = array.astype(np.int8 if name[0] == "i" else np.uint8)
    return array


def _meant(array: np.ndarray, kind: int) -> np.ndarray:
    """An output as the type that the graph gives it; the opposite of `_given`."""
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)) if kind else array.dtype
    if array.dtype == dtype:
        return array
    return array.astype(dtype) if dtype.name in ("int4", "int2", "uint4", "uint2") else array.view(dtype)


class WhitBackendRep(BackendRep):
    """A compiled model."""

    def __init__(self, module, inputs: list, outputs: list, kinds: dict):
        self._module, self._inputs, self._outputs, self._kinds = module, inputs, outputs, kinds

    def run(self, inputs, **_):
        """Outputs in the order of the graph, also by name."""
        if len(inputs) > len(self._inputs):
            raise ValueError(f"{len(inputs)} inputs are given; the model has {len(self._inputs)}")
        known = {value.name for value in self._module.inputs}  # those that no node uses are not among them
        feeds = {name: _given(array) for name, array in zip(self._inputs, inputs) if name in known}
        found = self._module.run(feeds)
        results = []
        for name in self._outputs:
            results.append(_meant(np.asarray(found[name]), self._kinds.get(name, 0)))
        return namedtupledict("Outputs", self._outputs)(*results)


class WhitBackend(Backend):
    """Compiles for the CPU of this machine. Keywords of `prepare` are flags of whit-compile, as of `whit.compile`."""

    @classmethod
    def is_compatible(cls, model, device="CPU", **flags) -> bool:
        """Whether the importer takes all nodes of the model."""
        from .errors import UnsupportedError

        try:
            cls.prepare(model, device, **flags)
        except UnsupportedError:
            return False
        return True

    @classmethod
    def prepare(cls, model, device="CPU", **flags) -> WhitBackendRep:
        if not cls.supports_device(device):
            raise ValueError(f"device is '{device}'; only CPU is supported")
        constants = {tensor.name for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in constants]
        outputs = [value.name for value in model.graph.output]
        kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
        return WhitBackendRep(compile(model, **flags), inputs, outputs, kinds)

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **flags):
        return cls.prepare(model, device, **flags).run(inputs)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **options):
        """A node alone. `outputs_info` has (type, shape) of each output; without it they are inferred. `opset_version` is that of
        the node's domain (default: the newest)."""
        arrays = [np.asarray(array) for array in inputs]
        given = [name for name in node.input if name]
        values = [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                  for name, array in zip(given, arrays)]
        names = [name for name in node.output if name]
        if outputs_info is None:
            results = [onnx.ValueInfoProto(name=name) for name in names]
        else:
            results = [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
                       for name, (kind, shape) in zip(names, outputs_info)]
        opset = onnx.helper.make_opsetid(node.domain, options.pop("opset_version", onnx.defs.onnx_opset_version()))
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "node", values, results), opset_imports=[opset])
        if outputs_info is None:
            model = onnx.shape_inference.infer_shapes(model)
        return cls.run_model(model, arrays, device, **options)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return Device(device).type == DeviceType.CPU


is_compatible, prepare, run_model = WhitBackend.is_compatible, WhitBackend.prepare, WhitBackend.run_model
run_node, supports_device = WhitBackend.run_node, WhitBackend.supports_device
