# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The layer inside of a jitted function of JAX: python multiply_jax.py FOLDER layer.npy"""
import sys

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, sys.argv[1])
import kernels_jax  # noqa: E402

layer = kernels_jax.register()["layer"]
weights = np.load(sys.argv[2])
packed = kernels_jax.pack(layer, "w", weights)


@jax.jit
def block(x, packed):
    return jax.nn.silu(layer(x, packed)) * 2


x = jax.random.normal(jax.random.key(1), (7, 256))
exact = jax.nn.silu(jnp.matmul(x, weights.T, precision="highest")) * 2
error = jnp.linalg.norm(block(x, packed) - exact) / jnp.linalg.norm(exact)
print(f"{weights.nbytes} bytes of weights became {packed.nbytes}; relative error {error:.3f}")
