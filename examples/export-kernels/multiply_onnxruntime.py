# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The layer as an operator in a model of ONNX Runtime, on its threads: python multiply_onnxruntime.py FOLDER layer.npy"""
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, sys.argv[1])
import kernels_numpy  # noqa: E402

weights = np.load(sys.argv[2])
packed = kernels_numpy.load()["layer"].pack("w", weights)
nodes = [helper.make_node("layer", ["x", "w"], ["h"], domain="whit"), helper.make_node("Relu", ["h"], ["y"])]
graph = helper.make_graph(nodes, "block", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 256])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 384])], [numpy_helper.from_array(packed, "w")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("whit", 1)], ir_version=10)

options = onnxruntime.SessionOptions()
options.register_custom_ops_library(sys.argv[1] + "/kernels.so")
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
x = np.random.default_rng(1).standard_normal((7, 256)).astype(np.float32)
(y,) = session.run(None, {"x": x})
exact = np.maximum(x @ weights.T, 0)
print(f"{weights.nbytes} bytes of weights became {packed.nbytes}; relative error {np.linalg.norm(y - exact) / np.linalg.norm(exact):.3f}")
