# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The layer as an operator of PyTorch, inside of a compiled function: python multiply_torch.py FOLDER layer.npy"""
import sys

import numpy as np
import torch

sys.path.insert(0, sys.argv[1])
import kernels_torch  # noqa: E402

layer = kernels_torch.register()["layer"]
weights = torch.from_numpy(np.load(sys.argv[2]))
packed = kernels_torch.pack(layer, "w", weights)


# backend="inductor", the default, needs a C++ compiler.
@torch.compile(fullgraph=True, backend="aot_eager")
def block(x):
    return torch.nn.functional.silu(layer(x, packed)) * 2


x = torch.randn(7, 256, generator=torch.Generator().manual_seed(1))
exact = torch.nn.functional.silu(x @ weights.T) * 2
print(f"{weights.nbytes} bytes of weights became {packed.nbytes}; relative error {(block(x) - exact).norm() / exact.norm():.3f}")
