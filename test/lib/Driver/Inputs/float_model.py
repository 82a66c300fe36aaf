# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Three layers of floats: float_model.py MODEL.onnx INPUTS.npz [nan]."""
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

random = np.random.default_rng(4)
nodes, stored, value = [], [], "x"
for name, node, (k, n) in (("first", "/first/MatMul", (64, 96)), ("middle", "/middle/MatMul", (96, 96)), ("last", "/last/<b>&/MatMul", (96, 5))):
    weight = random.normal(0, 0.05, (k, n)).astype(np.float32)
    if name == "middle" and "nan" in sys.argv:
        weight[3, 7] = np.nan
    stored.append(numpy_helper.from_array(weight, f"{name}.weight"))
    nodes.append(helper.make_node("MatMul", [value, f"{name}.weight"], [f"{name}.product"], name=node))
    value = name
    nodes.append(helper.make_node("Tanh", [f"{name}.product"], [name], name=f"/{name}/Tanh"))
inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])]
outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", 5])]
graph = helper.make_graph(nodes, "layers", inputs, outputs, stored)
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), sys.argv[1])
np.savez(sys.argv[2], x=random.normal(0, 1, (3, 64)).astype(np.float32))
