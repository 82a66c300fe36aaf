# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Times other libraries' products on the shapes of a bundle, the way Whit's are timed; one JSON object for each on stdout.

usage: baselines.py cuda:0 '{"shapes": [[4096, 4096]], "rows": [1, 16], "decoders": [], "rotate": 256, "runs": 20, "repeat": 32}'

torch (cuBLAS) in f16 is what everything is compared with; torch's own int4 kernel, a plain int4 kernel in Triton, and Marlin where they can
be imported. Weights take turns with copies that fill `rotate` MiB, inside a CUDA graph, between events. Without torch nothing is measured.
"""

import json
import sys
import time

GROUP = 128


def say(**row):
    print(json.dumps(row), flush=True)


def timed(torch, calls, options):
    """Microseconds of a call, median and least; `calls` take turns, one for each copy of the weights."""
    repeat = -(-options["repeat"] // len(calls)) * len(calls)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for call in calls[:3]:  # what compiles, or picks an algorithm, does it now
            call()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for i in range(repeat):
            calls[i % len(calls)]()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []
    for i in range(-2, options["runs"]):
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        if i >= 0:
            times.append(1e3 * start.elapsed_time(end) / repeat)
    times.sort()
    return {"us_median": times[len(times) // 2], "us_min": times[0], "copies": len(calls)}


def copies_of(options, size):
    return max(1, min(256, -(-(options["rotate"] << 20) // size)))


def torch_f16(torch, k, n, m, options):
    weights = torch.randn(copies_of(options, 2 * k * n), k, n, device="cuda", dtype=torch.float16)
    x, y = torch.randn(m, k, device="cuda", dtype=torch.float16), torch.empty(m, n, device="cuda", dtype=torch.float16)
    return [lambda w=w: torch.mm(x, w, out=y) for w in weights]


def torch_int4(torch, k, n, m, options):
    """tinygemm, bf16 activations, one scale and zero for each group."""
    packed = [torch._convert_weight_to_int4pack(torch.randint(0, 255, (n, k // 2), device="cuda", dtype=torch.uint8), 8)
              for _ in range(copies_of(options, k * n // 2))]
    scales = torch.rand(k // GROUP, n, 2, device="cuda", dtype=torch.bfloat16)
    x = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
    return [lambda w=w: torch._weight_int4pack_mm(x, w, GROUP, scales) for w in packed]


def marlin(torch, k, n, m, options):
    import marlin as library

    packed = [torch.randint(-2**31, 2**31 - 1, (k // 16, n * 2), device="cuda", dtype=torch.int32)
              for _ in range(copies_of(options, k * n // 2))]
    scales = torch.rand(k // GROUP, n, device="cuda", dtype=torch.float16)
    workspace = torch.zeros(n // 128 * 16, device="cuda", dtype=torch.int32)
    x, y = torch.randn(m, k, device="cuda", dtype=torch.float16), torch.empty(m, n, device="cuda", dtype=torch.float16)
    return [lambda w=w: library.mul(x, w, y, scales, workspace) for w in packed]


def triton_int4(torch, k, n, m, options):
    """What one writes in Triton in an hour: two codes of K in a byte, decoded in registers, one tile of N for each program. Checked below."""
    global tl  # a kernel finds its names among those of the module
    import triton
    import triton.language as tl

    @triton.jit
    def product(x, w, s, y, m, n: tl.constexpr, k: tl.constexpr, group: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr):
        row, column = tl.arange(0, rows), tl.program_id(0) * columns + tl.arange(0, columns)
        pair = tl.arange(0, group // 2)
        total = tl.zeros((rows, columns), tl.float32)
        for g in range(k // group):
            code = tl.load(w + (g * (group // 2) + pair)[:, None] * n + column[None, :])
            scale = tl.load(s + g * n + column)
            even = tl.load(x + row[:, None] * k + (g * group + 2 * pair)[None, :], mask=row[:, None] < m, other=0.0)
            odd = tl.load(x + row[:, None] * k + (g * group + 2 * pair + 1)[None, :], mask=row[:, None] < m, other=0.0)
            part = tl.dot(even, ((code & 15).to(tl.int8) - 8).to(tl.float16)) + tl.dot(odd, ((code >> 4).to(tl.int8) - 8).to(tl.float16))
            total += part * scale[None, :].to(tl.float32)
        tl.store(y + row[:, None] * n + column[None, :], total.to(tl.float16), mask=row[:, None] < m)

    rows, columns = max(16, triton.next_power_of_2(m)), 64 if m <= 32 else 32
    packed = torch.randint(0, 255, (copies_of(options, k * n // 2), k // 2, n), device="cuda", dtype=torch.uint8)
    scales = torch.rand(k // GROUP, n, device="cuda", dtype=torch.float16) / 64
    x, y = torch.randn(m, k, device="cuda", dtype=torch.float16), torch.empty(m, n, device="cuda", dtype=torch.float16)

    def call(w):
        product[(n // columns,)](x, w, scales, y, m, n, k, GROUP, rows, columns, num_warps=4)

    call(packed[0])
    codes = torch.stack((packed[0] & 15, packed[0] >> 4), 1).reshape(k, n).float() - 8
    right = x.float() @ (codes * scales.float().repeat_interleave(GROUP, 0))
    if not torch.allclose(y.float(), right, rtol=2e-2, atol=2e-2 * float(right.abs().mean())):
        raise ValueError("wrong result")
    return [lambda w=w: call(w) for w in packed]


def decoder(torch, shape):
    """Tokens a second of a small Llama in f16, each step a replay of one CUDA graph, with a static cache no longer than it needs. Its weights are
    random: only the time counts."""
    from torch.nn import functional

    hidden, heads, kv, depth, inner = (shape[name] for name in ("hidden", "heads", "kv", "depth", "inner"))
    length = shape["prompt"] + shape["tokens"] + 8
    kind = {"device": "cuda", "dtype": torch.float16}

    def weight(rows, columns):
        return torch.randn(rows, columns, **kind) * columns ** -0.5

    def norm(x, scale):
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).half() * scale

    embedding = weight(shape["vocabulary"], hidden)
    layers = [{"qkv": weight((heads + 2 * kv) * depth, hidden), "out": weight(hidden, heads * depth), "up": weight(2 * inner, hidden),
               "down": weight(hidden, inner), "before": torch.ones(hidden, **kind), "between": torch.ones(hidden, **kind),
               "keys": torch.zeros(1, kv, length, depth, **kind), "values": torch.zeros(1, kv, length, depth, **kind)}
              for _ in range(shape["layers"])]
    last, rates = torch.ones(hidden, **kind), 1e5 ** (-torch.arange(0, depth, 2, device="cuda") / depth)
    token, position = (torch.zeros(1, device="cuda", dtype=torch.int64) for _ in range(2))
    places = torch.arange(length, device="cuda")

    def rotate(x, sine, cosine):
        low, high = x.chunk(2, -1)
        return torch.cat((low * cosine - high * sine, high * cosine + low * sine), -1)

    def step():
        x = embedding[token]
        angle = position * rates
        sine, cosine = torch.sin(angle).half(), torch.cos(angle).half()
        mask = (places <= position).view(1, 1, 1, length)
        for layer in layers:
            q, k, v = (norm(x, layer["before"]) @ layer["qkv"].T).view(heads + 2 * kv, depth).split((heads, kv, kv))
            layer["keys"].index_copy_(2, position, rotate(k, sine, cosine).view(1, kv, 1, depth))
            layer["values"].index_copy_(2, position, v.reshape(1, kv, 1, depth))
            keys, values = (layer[name].repeat_interleave(heads // kv, 1) for name in ("keys", "values"))
            query = rotate(q, sine, cosine).view(1, heads, 1, depth)
            x = x + functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask).view(1, -1) @ layer["out"].T
            gate, up = (norm(x, layer["between"]) @ layer["up"].T).chunk(2, -1)
            x = x + (functional.silu(gate) * up) @ layer["down"].T
        token.copy_((norm(x, last) @ embedding.T).argmax(-1))
        position.add_(1)

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    rates_seen = []
    for _ in range(5):
        position.fill_(shape["prompt"])
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(shape["tokens"]):
            graph.replay()
            token.item()  # as everybody does who stops at the end of a sentence
        rates_seen.append(shape["tokens"] / (time.perf_counter() - start))
    return {"decode_tps": sorted(rates_seen)[2]}


LIBRARIES = {"torch f16 (cuBLAS)": torch_f16, "torch int4": torch_int4, "Triton int4": triton_int4, "Marlin int4": marlin}


def main():
    device, options = sys.argv[1], json.loads(sys.argv[2])
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        say(library="torch", outcome="failed", message="torch finds no GPU")
        return
    torch.cuda.set_device(device if ":" in device else "cuda:0")
    for shape in options["decoders"]:
        row = {"library": "torch f16, CUDA graph", "model": shape["model"]}
        try:
            say(**row, outcome="ok", **decoder(torch, shape))
        except Exception as error:
            say(**row, outcome="failed", message=f"{type(error).__name__}: {error}"[:300])
    for k, n in options["shapes"]:
        for m in options["rows"]:
            for name, make in LIBRARIES.items():
                row = {"library": name, "k": k, "n": n, "rows": m}
                try:
                    say(**row, outcome="ok", **timed(torch, make(torch, k, n, m, options), options))
                except ImportError:
                    continue
                except Exception as error:  # libraries fail in all ways that there are, and the next one is measured all the same
                    say(**row, outcome="failed", message=f"{type(error).__name__}: {error}"[:300])


if __name__ == "__main__":
    main()
