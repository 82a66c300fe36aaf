# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The layer called through tvm-ffi, packed by it too: python multiply_tvm_ffi.py FOLDER layer.npy"""
import json
import sys
from pathlib import Path

import numpy as np
import tvm_ffi

folder = Path(sys.argv[1])
module = tvm_ffi.load_module(str(folder / "kernels.so"))
(layer,) = json.loads((folder / "kernels.json").read_text())["kernels"]
weights = np.load(sys.argv[2])
packed = np.empty(next(a["shape"] for a in layer["arguments"] if a["name"] == "w"), np.int8)
x = np.random.default_rng(1).standard_normal((7, 256)).astype(np.float32)
y = np.empty((7, 384), np.float32)

tensor = tvm_ffi.from_dlpack  # no copies
module.layer_pack_w(tensor(weights), tensor(packed))
module.layer(tensor(x), tensor(packed), tensor(y))
exact = x @ weights.T
print(f"{weights.nbytes} bytes of weights became {packed.nbytes}; relative error {np.linalg.norm(y - exact) / np.linalg.norm(exact):.3f}")
