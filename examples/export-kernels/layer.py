# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes layer.onnx, one product of 256 by 384, and its weights as layer.npy, [384 outputs, 256 inputs]."""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
weights = (np.random.default_rng(0).standard_normal((384, 256)) / 16).astype(np.float32)
graph = helper.make_graph([helper.make_node("MatMul", ["x", "W"], ["y"], name="layer")], "layer",
                          [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 256])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 384])],
                          [numpy_helper.from_array(np.ascontiguousarray(weights.T), "W")])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), folder / "layer.onnx")
np.save(folder / "layer.npy", weights)
