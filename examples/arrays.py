# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One 4-bit matrix product: made with the onnx package, compiled, and called with numpy arrays of two different lengths."""
import numpy as np
import onnx
from onnx import TensorProto, helper

import whit

K, N, BLOCK = 64, 48, 32
random = np.random.default_rng(0)
codes = random.integers(0, 256, (N, K // BLOCK, BLOCK // 2), dtype=np.uint8)  # two codes a byte, the first one low
scales = random.uniform(0.01, 0.02, (N, K // BLOCK)).astype(np.float32)

node = helper.make_node("MatMulNBits", ["x", "codes", "scales"], ["y"], name="product", domain="com.microsoft", K=K, N=N, bits=4,
                        block_size=BLOCK)
graph = helper.make_graph([node], "example", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", K])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", N])],
                          [onnx.numpy_helper.from_array(codes, "codes"), onnx.numpy_helper.from_array(scales, "scales")])
model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)])

module = whit.compile(model, activations="f32")
print(module)

weight = np.stack([codes & 15, codes >> 4], -1).reshape(N, K // BLOCK, BLOCK) - 8.0
weight = (weight * scales[..., None]).reshape(N, K)
for rows in (1, 5):
    x = random.standard_normal((rows, K)).astype(np.float32)
    y = module(x=x)["y"]
    print(f"{rows} rows: largest difference from numpy {np.abs(y - x @ weight.T).max():.2g}")
