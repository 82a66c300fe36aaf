# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs of JAX as it lowers them, with what it computes: `python test/e2e/jax_programs.py` writes test/e2e/jax_fixtures/*.mlir and *.json.

Needs JAX, which the tests do not: they compile the text that is committed and compare with the arrays beside it (test_jax_programs.py).
"""
import base64
import json
import re
import sys
import zlib
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "jax_fixtures"


def write(path: Path, arrays: dict) -> None:
    """Type, shape, and the bytes in text."""
    described = {name: [array.dtype.name, array.shape, base64.b64encode(zlib.compress(array.tobytes(), 9)).decode()] for name, array in arrays.items()}
    path.write_text(json.dumps(described, indent=0) + "\n")


def read(path: Path) -> dict:
    return {name: np.frombuffer(zlib.decompress(base64.b64decode(text)), kind).reshape(shape)
            for name, (kind, shape, text) in json.loads(path.read_text()).items()}


def programs():
    import jax
    import jax.numpy as jnp
    from jax import lax

    f32 = jnp.float32

    def images(x, stem, depthwise, up, scale, offset, mean, variance, head):
        x = lax.conv_general_dilated(x, stem, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = (x - mean) * lax.rsqrt(variance + 1e-5) * scale + offset
        x = jax.nn.relu6(x)
        x = lax.conv_general_dilated(x, depthwise, (1, 1), "SAME", feature_group_count=x.shape[-1], dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.gelu(x, approximate=False)
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        y = lax.conv_transpose(x, up, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        y = lax.reduce_window(y, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "VALID") / 4
        dilated = lax.conv_general_dilated(y, up, (1, 1), [(2, 2), (2, 2)], rhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jax.nn.softmax(dilated.mean((1, 2)) @ head), y

    def lstm(x, w, u, b):
        def step(carry, row):
            h, c = carry
            i, f, g, o = jnp.split(row @ w + h @ u + b, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((x.shape[1], u.shape[0]), f32)
        (h, c), hs = lax.scan(step, (zero, zero), x)
        _, back = lax.scan(step, (zero, zero), x, reverse=True)
        return h, c, hs, back

    def sampling(logits, bits):
        values, places = lax.top_k(logits, 5)
        order = jnp.argsort(-logits, axis=-1)
        ranked = jnp.take_along_axis(logits, order, -1)
        mass = jnp.cumsum(jax.nn.softmax(ranked, -1), -1)
        cut = jnp.where(mass - jax.nn.softmax(ranked, -1) < 0.8, ranked, -jnp.inf)
        key = jax.random.wrap_key_data(bits, impl="threefry2x32")
        token = jax.random.categorical(key, cut, axis=-1)
        return values, places, order, mass, token, jax.random.normal(key, (3, 5)), jax.random.permutation(key, 12)

    def decoding(start, table, n):
        """Greedy steps until a token comes, at most 12."""

        def goes_on(state):
            i, token, _ = state
            return (i < 12) & (token != 0)

        def step(state):
            i, token, out = state
            token = jnp.argmax(table[token]).astype(jnp.int32)
            return i + 1, token, out.at[i].set(token)

        i, token, out = lax.while_loop(goes_on, step, (0, start, jnp.full((12,), -1, jnp.int32)))
        branch = lax.switch(n, [lambda x: x + 1, lambda x: x * 2, lambda x: -x], out)
        chosen = lax.cond(n > 1, lambda x: jnp.flip(x), lambda x: jnp.cumsum(x), out)
        return i, token, out, branch, chosen, lax.fori_loop(0, 5, lambda k, x: x * 3 % 17 + k, out)

    def places(x, ids, rows, p):
        y = x.at[ids].add(rows)
        z = x.at[ids, 1].max(rows[:, 0])
        s = jax.ops.segment_sum(rows, ids, num_segments=7)
        t = jnp.take(x, ids + 5, axis=0, mode="clip")
        u = jnp.zeros((4, 9), f32).at[:, ids].set(rows[:, :1])
        v = lax.dynamic_update_slice(x, rows, (p, 0))
        w = lax.dynamic_slice(x, (p + 100, 1), (2, 2))
        return y, z, s, t, u, v, w, x[ids, ids % x.shape[1]], jnp.searchsorted(jnp.sort(x[:, 0]), rows[:, 0]), jax.nn.one_hot(ids, 9)

    def lines(x, m, n):
        return (jnp.cumsum(x, 1), jnp.cumprod(x, 0), lax.cummax(x, axis=1), jnp.median(x, axis=1), jnp.quantile(x, 0.3, axis=0), jnp.argmin(x, 1),
                jnp.any(x > 1, 0), jnp.all(x < 3, 1), jnp.sort(x, axis=0, descending=True), jnp.linalg.norm(x, axis=1), jax.nn.logsumexp(x, 1),
                jnp.einsum("ij,kj->ik", x, x), jnp.einsum("ijk,kl->lij", m, x), lax.pad(x, 0.5, [(1, -1, 2), (-1, 2, 0)]), jnp.var(x, 0),
                lax.reduce_precision(x, 5, 7), jnp.round(x), jnp.sign(x), lax.population_count(n), lax.clz(n), n >> 3, n ^ (n << 5), jnp.bitwise_not(n),
                jnp.floor_divide(n, 7), n % 7, jnp.clip(x, -1, 0.5), jnp.tril(x[:, :4]), jnp.roll(x, 2, 1), jnp.exp2(x), jnp.log2(jnp.abs(x) + 1),
                jnp.arctan2(x, x[::-1]), jnp.cbrt(x), jnp.sinh(x), jnp.arcsinh(x), jnp.diff(x, axis=1), jnp.trapezoid(x, axis=1),
                lax.bitcast_convert_type(x, jnp.uint8), x.astype(jnp.bfloat16).astype(f32), jnp.isfinite(x), jnp.hypot(x, 2.0), jax.nn.silu(x))

    def attention(x, mask, w, table, ids):
        """x [batch, length, 8] attends to itself where the mask says so."""
        q, k, v = (t.reshape(t.shape[0], t.shape[1], 2, 4).transpose(0, 2, 1, 3) for t in jnp.split(x @ w, 3, axis=-1))
        scores = jnp.where(mask[:, None, None, :] > 0, jnp.einsum("bhqd,bhkd->bhqk", q, k) / 2.0, -1e9)
        causal = jnp.arange(x.shape[1])[:, None] >= jnp.arange(x.shape[1])[None, :]
        y = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(jnp.where(causal, scores, -1e9), -1), v)
        y = y.transpose(0, 2, 1, 3).reshape(x.shape) + jnp.take(table, ids, axis=0)
        return y, y.mean(1), y[:, :, :3], y.reshape(-1, 8).sum(0), jnp.concatenate([x, y], 1), x.shape[0] * x.shape[1] + ids

    r = np.random.default_rng(7)
    n = lambda *shape: r.standard_normal(shape).astype(np.float32)  # noqa: E731
    yield "images", images, (n(2, 17, 16, 3), n(3, 3, 3, 8), n(3, 3, 1, 8), n(3, 3, 8, 8), n(8), n(8), n(8), np.abs(n(8)), n(8, 5))
    yield "lstm", lstm, (n(6, 2, 4), n(4, 12), n(3, 12), n(12))
    yield "sampling", sampling, (n(3, 50) * 3, np.array([7, 9], np.uint32))
    yield "decoding", decoding, (np.int32(4), n(20, 20), np.int32(2))
    yield "places", places, (n(9, 4), np.array([3, 0, 8, 3], np.int32), n(4, 4), np.int32(6))
    yield "lines", lines, (n(5, 6), n(2, 3, 5), r.integers(-99999, 99999, (4, 3)).astype(np.int32))
    w, table, shapes = n(8, 24), n(30, 8), ("batch, length, 8", "batch, length", None, None, "batch, length")
    sets = [(n(b, s, 8), r.integers(0, 2, (b, s)).astype(np.int32), w, table, r.integers(0, 30, (b, s)).astype(np.int32)) for b, s in ((2, 5), (1, 1), (3, 17))]
    for mask in (arguments[1] for arguments in sets):
        mask[:, 0] = 1  # each token sees one at least: what one gets that sees none is not defined alike
    yield "attention", attention, *sets, shapes


def main(names):
    import jax
    from jax import export

    FOLDER.mkdir(exist_ok=True)
    for name, function, *sets in programs():
        if names and name not in names:
            continue
        jitted, text = jax.jit(function), None
        if isinstance(sets[-1][0], str):  # symbolic shapes, for several sizes
            scope, shapes = export.SymbolicScope(), sets.pop()
            described = [jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope) if shape else value.shape, value.dtype)
                         for shape, value in zip(shapes, sets[0])]
            text = export.export(jitted)(*described).mlir_module()
            text = re.sub(r" loc\(#loc\d*\)|(?m:^#loc.*\n)| loc\(unknown\)", "", text)  # where it stood on this machine
        (FOLDER / f"{name}.mlir").write_text(text or jitted.lower(*sets[0]).as_text())
        for k, arguments in enumerate(sets):
            arrays = {f"arg{i}": np.asarray(value) for i, value in enumerate(arguments)}
            arrays.update({f"out{i}": np.asarray(value) for i, value in enumerate(jax.tree.leaves(jitted(*arguments)))})
            write(FOLDER / f"{name}{f'-{k}' if k else ''}.json", arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
