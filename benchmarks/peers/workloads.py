# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The workloads, who takes part in each, and the least time that a machine allows for a row.

`Limits` collects what probe.cpp found: the limit of a row is the larger of its arithmetic at the best rate and of its bytes at the bandwidth of
the memory level that they come from. Peers are compared row by row; higher is better for tokens/s, lower for times.
"""

import math
import re
from dataclasses import dataclass

import encoder
import generated
import language
import matmul

# SmolLM2-135M, whose head shares the embedding; a prompt needs the head for its last token only.
LANGUAGE_WEIGHTS, HEAD_WEIGHTS, INT4_BITS = 134_515_008, 49152 * 576, 4.5
ENCODER_OPERATIONS = 6 * encoder.TOKENS * (2 * (4 * 384**2 + 2 * 384 * 1536) + 4 * encoder.TOKENS * 384)


@dataclass(frozen=True)
class Workload:
    """Contestants by name, files in the folder of models; `is_per_shape`: each shape of matmuls is a round of its own."""

    title: str
    unit: str
    contestants: dict
    models: tuple = ()
    is_per_shape: bool = False

    @property
    def is_rate(self):
        return self.unit == "tokens/s"


WORKLOADS = {
    "language": Workload("SmolLM2-135M, int4 in groups of 32", "tokens/s", language.CONTESTANTS,
                         ("smollm2_genai_int4.onnx", "smollm2_optimum_fp32.onnx", "smollm2.gguf")),
    "large": Workload("Llama shape, 1.1 billion parameters, int4 in groups of 32", "tokens/s", language.LARGE_CONTESTANTS),
    "caches": Workload("SmolLM2-135M, a long cache: steps of attention alone", "tokens/s", language.CACHE_CONTESTANTS,
                       ("smollm2_genai_int4.onnx",)),
    "encoder": Workload(f"MiniLM-L6, 1 x {encoder.TOKENS}", "ms", encoder.CONTESTANTS, ("minilm.onnx",)),
    "matmul": Workload("Products", "ms", matmul.CONTESTANTS, is_per_shape=True),
    "formats": Workload("Products in other formats, beside int4_g32", "ms", matmul.FORMAT_CONTESTANTS),
    "compile": Workload("Compile time", "s", encoder.COMPILE_CONTESTANTS, ("minilm.onnx", "smollm2_genai_int4.onnx")),
}


def work_of(row):
    """(operations, bytes read, bytes of the working set) of one unit of a row - a run, or a token - or None."""
    if row == language.DECODE:
        size = LANGUAGE_WEIGHTS * INT4_BITS / 8
        return 2 * LANGUAGE_WEIGHTS, size, size
    if row == language.LARGE_DECODE:
        size = generated.parameters() * (4 + 32 / generated.GROUP) / 8  # scales in f32
        return 2 * generated.parameters(), size, size
    if found := re.fullmatch(r"prompt of (\d+)", row):
        length = int(found[1])
        size = LANGUAGE_WEIGHTS * INT4_BITS / 8
        return 2 * (LANGUAGE_WEIGHTS - HEAD_WEIGHTS + HEAD_WEIGHTS / length), size / length, size
    if row.startswith("MiniLM"):
        return ENCODER_OPERATIONS, 0, 0
    if found := re.fullmatch(r"matmul (\d+) x (\d+) int(\d)_g(\d+) M=(\d+)( cold)?", row):
        k, n, bits, block, m = map(int, found.groups()[:5])
        size = k * n * (bits + 16 / block) / 8
        return 2 * m * k * n, size, math.inf if found[6] else size
    return None


class Limits:
    """The best rates that probe.cpp saw, by the number of threads: {"gops": {kind: 1e9 operations/s}, "gbps": {MiB: GB/s}}."""

    def __init__(self, seen=()):
        self.seen = {int(threads): rates for threads, rates in dict(seen).items()}

    def add(self, found):
        best = self.seen.setdefault(found["threads"], {"gops": {}, "gbps": {}})
        for unit in best:
            for key, value in found[unit].items():
                best[unit][key] = max(value, best[unit].get(key, 0))

    def seconds(self, row, threads):
        """The least time of one unit of a row, or None where no limit is known."""
        work, seen = work_of(row), self.seen.get(threads)
        if not work or not seen:
            return None
        operations, size, working_set = work
        levels = sorted(seen["gbps"], key=int)
        level = next((mib for mib in levels if int(mib) << 20 >= working_set), levels[-1])  # the last is memory
        # Numbers in f32 are not multiplied at the rate of bytes.
        rates = {"f32": seen["gops"]["f32"]} if row.endswith("f32") else seen["gops"]
        return 1e-9 * max(operations / max(rates.values()), size / seen["gbps"][level])
