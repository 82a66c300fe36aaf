# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""docs/stablehlo-operations.md: which operations of the StableHLO specification are imported, and why the others are refused.

    python test/e2e/stablehlo_table.py     writes it

What is imported is read from the tables of lib/Import/StableHLO/Ops, what is refused from Refusals.def, and the tests are those of the
families (test_stablehlo_*.py with CASES).
"""
import importlib
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TABLE = ROOT / "docs/stablehlo-operations.md"
IMPORT = ROOT / "lib/Import/StableHLO"
FAMILIES = ("control", "elementwise", "operations", "sorts", "windows")
# The specification's list, with what it deprecates.
SPECIFICATION = """abs add after_all all_gather all_reduce all_to_all and async_done async_start atan2 batch_norm_grad batch_norm_inference
batch_norm_training bitcast_convert broadcast broadcast_in_dim case cbrt ceil cholesky clamp collective_broadcast collective_permute compare
complex composite concatenate constant convert convolution cosine count_leading_zeros create_token cross-replica-sum custom_call divide dot
dot_general dynamic_broadcast_in_dim dynamic_conv dynamic_gather dynamic_iota dynamic_pad dynamic_reshape dynamic_slice dynamic_update_slice
einsum exponential exponential_minus_one fft floor gather get_dimension_size get_tuple_element if imag infeed iota is_finite log log_plus_one
logistic map maximum minimum multiply negate not optimization_barrier or outfeed pad partition_id popcnt power real real_dynamic_slice recv
reduce reduce_precision reduce_scatter reduce_window remainder replica_id reshape reverse rng rng_bit_generator round_nearest_afz
round_nearest_even rsqrt scatter select select_and_scatter send set_dimension_size shift_left shift_right_arithmetic shift_right_logical sign
sine slice sort sqrt subtract tan tanh torch_index_select trace transpose triangular_solve tuple unary_einsum uniform_dequantize
uniform_quantize while xor""".split()
# What is no row of a table: the walk over the program knows it.
STRUCTURE = {
    "stablehlo.composite": "by the function that it stands for",
    "stablehlo.custom_call": "annotations of shardings, placements and layouts, and shape assertions that sizes are equal; others are refused by their target",
}
NOTES = {
    "stablehlo.case": "data chooses among results that are all computed",
    "stablehlo.convolution": "up to 3 spatial dimensions",
    "stablehlo.custom_call": STRUCTURE["stablehlo.custom_call"],
    "stablehlo.composite": STRUCTURE["stablehlo.composite"],
    "stablehlo.dynamic_broadcast_in_dim": "to a shape that follows from the sizes of the arguments",
    "stablehlo.dynamic_gather": "to a shape that follows from the sizes of the arguments",
    "stablehlo.dynamic_iota": "of a shape that follows from the sizes of the arguments",
    "stablehlo.dynamic_pad": "by constants",
    "stablehlo.dynamic_reshape": "to a shape that follows from the sizes of the arguments",
    "stablehlo.if": "data chooses among results that are both computed",
    "stablehlo.partition_id": "0",
    "stablehlo.real_dynamic_slice": "parts of dimensions with fixed sizes, all of those that vary",
    "stablehlo.replica_id": "0",
    "stablehlo.scatter": "elements of an update that fall outside are left out, each for itself",
    "stablehlo.while": "unrolled; counters must bound it, by 4,096 iterations",
    "chlo.erf_inv": "up to f32",
}


def imported() -> set:
    rows = set()
    for path in (IMPORT / "Ops").glob("*.cpp"):
        rows |= set(re.findall(r'^    \{"((?:stablehlo|chlo)\.[\w-]+)", ', path.read_text(), re.M))
    return rows | set(STRUCTURE)


def refused() -> dict:
    """Names, and why."""
    text = (IMPORT / "Refusals.def").read_text()
    words = {name: why for name, why in re.findall(r'#define (\w+)[\s\\]+"([^"]+)"', text)}
    rows = re.findall(r'^REFUSED\("([^"]+)",\s*(?:(\w+)|"([^"]+)")', text, re.M)
    return {name: words[word] if word else why for name, word, why in rows}


def cases() -> dict:
    """Texts of the tests by family: legal ones and broken ones."""
    sys.path[:0] = [str(HERE)]
    found = {}
    for family in FAMILIES:
        module = importlib.import_module(f"test_stablehlo_{family}")
        texts = [case.text if hasattr(case, "text") else "\n".join([case[0], *case[2:]]) for case in module.CASES.values()]
        found[family] = (texts, [case.text for case in getattr(module, "BROKEN", {}).values()])
    return found


def uses(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w-])", text) is not None


def breaks(text: str, name: str) -> bool:
    """Whether the operation that gives the result is this one."""
    return re.search(rf'%r(?::\d+)? = "?{re.escape(name)}(?![\w-])', text) is not None


def table() -> str:
    known, why, tests = imported(), refused(), cases()
    names = [f"stablehlo.{name}" for name in SPECIFICATION] + sorted(name for name in known | set(why) if name.startswith("chlo."))
    count = sum(name in known for name in names if name.startswith("stablehlo."))
    lines = ["<!-- Written by `python test/e2e/stablehlo_table.py`; do not edit. -->", "", "# StableHLO operations", "",
             f"Of the {len(SPECIFICATION)} operations of the StableHLO specification, deprecated ones among them, {count} are imported. The others are refused with",
             "E3001 and the reason that stands here, before anything is compiled. Operations of `chlo` are those that JAX leaves.", "",
             "Tests are rows of `test/e2e/test_stablehlo_*.py`: `legal` ones are computed by the compiled program and by the interpreter and compared",
             "with numpy, `broken` ones break a constraint of the specification and are refused with a message that says so.", "",
             "| operation | state | legal | broken | |", "|---|---|--:|--:|---|"]
    for name in names:
        legal, broken = (sum(test(text, name) for pair in tests.values() for text in pair[i]) for i, test in enumerate((uses, breaks)))
        state = "imported" if name in known else f"refused: {why[name]}"
        lines.append(f"| {name} | {state} | {legal or ''} | {broken or ''} | {NOTES.get(name, '')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
