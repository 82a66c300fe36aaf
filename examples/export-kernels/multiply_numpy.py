# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The layer called with numpy arrays: python multiply_numpy.py FOLDER layer.npy"""
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
import kernels_numpy  # noqa: E402

layer = kernels_numpy.load()["layer"]
weights = np.load(sys.argv[2])
packed = layer.pack("w", weights)
x = np.random.default_rng(1).standard_normal((7, 256)).astype(np.float32)
exact = x @ weights.T
print(f"{weights.nbytes} bytes of weights became {packed.nbytes}; "
      f"relative error {np.linalg.norm(layer(x, packed) - exact) / np.linalg.norm(exact):.3f}")
