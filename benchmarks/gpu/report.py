# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Turns results of benchmarks/gpu/run.sh into docs/performance/gpu.md, and into rows for the cost model.

usage: report.py [RESULTS.json]... [--write] [--rows ROWS.jsonl] [--page PAGE.md]

Results that are given are kept as docs/performance/gpu/DEVICE-DATE.json with --write, and the page is made of all that are kept; without
--write it is printed. Results of a simulator have no times and are never kept. Rows are JSON lines, one for each kernel, shape and device:
what was run, what is known of its kernels without running them, the times, and how wrong it was. Failures are rows too.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/performance/gpu.md"
ROWS = [1, 2, 4, 8, 16, 32, 64, 128]
FORMATS = ["int4_g128", "int4_g32", "int8_g128", "int3_g128", "int5_g128", "int6_g128", "nf4", "mxfp4", "fp8_e4m3_g128"]
PEER = "torch f16 (cuBLAS)"

HEAD = """# GPUs

What `benchmarks/gpu/run.sh` measured on cards, with the bundle that `./dev gpu-bundle` writes; this page is made by `benchmarks/gpu/report.py`.
Kernels are y = x W with K = N = 4096 and bf16 activations, M rows of x. Copies of the weights fill more than the card's L2 and take turns, in one
graph, between events; a cell is the median. Results are compared with the interpreter's first, and what is wrong is not timed.

    ./dev gpu-bundle && scp build/whit-gpu-bundle.tar.xz CARD:        # here
    tar xf whit-gpu-bundle.tar.xz && whit-gpu-bundle/run.sh           # on the machine with the card
    python benchmarks/gpu/report.py results.json --write              # here

For AMD, `./dev gpu-bundle --targets gfx942` and `run.sh --device=hip:0`. `--rows FILE` of `report.py` appends JSON lines for the cost model.
"""

NOTHING = """
**Nothing has run on a card yet.** Everything below is open. Kernels are checked in the simulator alone ([gpu.md](../gpu.md)).
"""

GOALS = """
| goal | found |
|---|---|
| int4_g128, M = 1 to 16, share of the memory's rate: at least 80 % | {share} |
| int4_g128, M = 1 to 16, times as fast as cuBLAS f16: at least 3.2 | {faster} |
| int4_g128, M = 128, times as fast as cuBLAS f16: at least 1.0 | {wide} |
| int3, int5 and int6 of g128, M = 1: time in proportion to bytes, off by at most 15 % | {proportion} |
| SmolLM2 in int4, decode, times as fast as torch f16 with graphs: at least 2 | {decode} |
"""


def table(lines):
    return "\n".join(["| " + " | ".join(lines[0]) + " |", "|" + "---|" * len(lines[0])] + ["| " + " | ".join(row) + " |" for row in lines[1:]]) + "\n"


def timed(results):
    """{(format, k, n): {M: row}} of the kernels that have times."""
    found = collections.defaultdict(dict)
    for case in results["cases"]:
        for row in case["times"]:
            if case["kind"] == "kernel" and row.get("device_us_median"):
                found[case["format"], case["k"], case["n"]][row["rows"]] = {**row, "bytes": case["weight_bytes"]}
    return found


def peers(results):
    """{(library, k, n): {M: microseconds}}"""
    found = collections.defaultdict(dict)
    for row in results["baselines"]:
        if row["outcome"] == "ok" and "us_median" in row:
            found[row["library"], row["k"], row["n"]][row["rows"]] = row["us_median"]
    return found


def generated(results):
    """(model, row) where tokens were generated."""
    return [(case["name"], row) for case in results["cases"] for row in case["times"] if row.get("decode_tps")]


def peer_rates(results):
    """Tokens a second of torch, by model."""
    return {row["model"]: row["decode_tps"] for row in results["baselines"] if row["outcome"] == "ok" and "decode_tps" in row}


def span(values, text="{:.2f}", missing="open"):
    """The least and the largest of some numbers."""
    values = [v for v in values if v is not None]
    if not values:
        return missing
    low, high = text.format(min(values)), text.format(max(values))
    return low if low == high else f"{low} to {high}"


def goals(results):
    """What each goal of the issue came to; "open" where nothing was measured."""
    ours, theirs = timed(results), peers(results)
    base = ours.get(("int4_g128", 4096, 4096), {})
    peer = theirs.get((PEER, 4096, 4096), {})

    def faster(rows):
        return [peer[m] / base[m]["device_us_median"] for m in rows if m in base and m in peer]

    off = []
    for form in ("int3_g128", "int5_g128", "int6_g128"):
        row = ours.get((form, 4096, 4096), {}).get(1)
        if row and 1 in base:
            off.append(row["device_us_median"] / base[1]["device_us_median"] / (row["bytes"] / base[1]["bytes"]) - 1)
    few, rates = [m for m in ROWS if m <= 16], peer_rates(results)
    return {"share": span([100 * base[m]["memory_share"] for m in few if m in base and "memory_share" in base[m]], "{:.0f} %"),
            "faster": span(faster(few)), "wide": span(faster([128])), "proportion": span([100 * o for o in off], "{:+.0f} %"),
            "decode": span([row["decode_tps"] / rates[name] for name, row in generated(results) if name in rates],
                           "{:.2f} (two layers and the head)")}


def section(results):
    """What one card did."""
    ours, theirs, about = timed(results), peers(results), results["system"]
    smi = (about.get("nvidia_smi") or [{}])[0]
    outcomes = collections.Counter(c["outcome"] for case in results["cases"] for c in case["checks"])
    simulated = results["device"].startswith("sim:")
    text = f"\n## {results['product'] or results['device']}\n\n"
    facts = [about["utc"][:10], f"Whit {results['git']}"]
    facts += [f"driver {smi['driver_version']}"] if smi else []
    facts += [f"weights rotated over {results['rotate_mib']} MiB", f"{results['runs']} graphs of {results['repeat']} runs or more"] if not simulated else [
        "simulated: no times"]
    text += ", ".join(facts) + ".\n\n"
    total = sum(outcomes.values())
    text += f"Checks: {outcomes['ok']} of {total} right" + "".join(f", {outcomes[o]} {o}" for o in ("wrong", "failed") if outcomes[o]) + ".\n"
    for case in results["cases"]:
        for check in case["checks"]:
            if check["outcome"] != "ok":
                message = check.get("message", "").splitlines() or [""]
                text += f"- {case['name']}, {check['check']}, M = {check['rows']}: {check['outcome']}: {message[-1][:200]}\n"
    tools = collections.Counter((s["tool"], s["outcome"]) for s in results["sanitizer"])
    for tool in sorted({tool for tool, _ in tools}):
        text += f"\ncompute-sanitizer {tool}: " + ", ".join(f"{tools[tool, o]} {o}" for o in ("ok", "wrong", "failed") if tools[tool, o]) + ".\n"
    text += GOALS.format(**goals(results)) if not simulated else ""
    for k, n in sorted({(k, n) for _, k, n in ours}):
        lines = [[f"us, K = {k}, N = {n}", *(f"M = {m}" for m in ROWS)]]
        for library in sorted({key[0] for key in theirs if key[1:] == (k, n)}):
            lines.append([library, *(f"{theirs[library, k, n][m]:.2f}" if m in theirs[library, k, n] else "" for m in ROWS)])
        shares = [[f"% of memory / matrix units, N = {n}", *(f"M = {m}" for m in ROWS)]]
        for form, *shape in ours:
            if shape == [k, n]:
                rows = ours[form, k, n]
                lines.append([f"`{form}`", *(f"{rows[m]['device_us_median']:.2f}" if m in rows else "" for m in ROWS)])
                shares.append([f"`{form}`", *(f"{100 * rows[m]['memory_share']:.0f} / {100 * rows[m]['compute_share']:.0f}"
                                              if m in rows and "memory_share" in rows[m] else "" for m in ROWS)])
        text += "\n" + table(lines) + ("\n" + table(shares) if results["machine"] else "")
    models = [(case, row) for case in results["cases"] for row in case["times"] if case["kind"] == "model" and row["outcome"] == "ok"]
    if models:
        rates = peer_rates(results)
        lines = [["model", "what", "ms on the device", "tokens/s", "torch f16", "kernels", "one graph"]]
        for case, row in models:
            us, rate = row.get("device_us_median"), row.get("decode_tps")
            lines.append([case["name"], row["time"], f"{us / 1e3:.3f}" if us else "", f"{rate:.0f}" if rate else "",
                          f"{rates[case['name']]:.0f}" if rate and case["name"] in rates else "", str(row.get("kernels", "")),
                          "yes" if row.get("graph") else "no"])
        text += "\n" + table(lines)
    for note in sorted({row["note"] for case in results["cases"] for row in case["times"] if row.get("note")}):
        text += f"\n{note}\n"
    return text


def page(kept):
    if kept:
        return HEAD + "".join(section(results) for results in kept)
    open_rows = [["us, K = 4096, N = 4096", *(f"M = {m}" for m in ROWS)], [PEER, *([""] * len(ROWS))]]
    open_rows += [[f"`{form}`", *([""] * len(ROWS))] for form in FORMATS]
    goal = GOALS.format(share="open", faster="open", wide="open", proportion="open", decode="open")
    return HEAD + NOTHING + goal + "\n" + table(open_rows)


def rows_of(results):
    """A row for each kernel and shape, with a key that is the same for the same code, shape and device."""
    device = {"product": results["product"], "machine": (results["machine"] or {}).get("name"),
              "driver": (results["system"].get("nvidia_smi") or [{}])[0].get("driver_version")}
    for case in results["cases"]:
        if case["kind"] != "kernel":
            continue
        wrong = next((c for c in case["checks"] if c["outcome"] != "ok"), None)
        errors = [c["max_error"] for c in case["checks"] if "max_error" in c]
        for row in case["times"] or ([{"rows": wrong["rows"], "outcome": wrong["outcome"]}] if wrong else []):
            architecture = row.get("device_architecture")
            facts = next((facts for target, facts in case["facts"].items() if target.split(":")[0].rstrip("af") == architecture), [])
            op = {"op": "matmul", "format": case["format"], "activations": case["activations"], "m": row["rows"], "n": case["n"], "k": case["k"]}
            key = hashlib.sha256(json.dumps([op, results["git"], device, facts], sort_keys=True).encode()).hexdigest()[:16]
            time = {"min_us": row.get("device_us_min"), "median_us": row.get("device_us_median"), "n": results["runs"], "weights": "cold"}
            yield {"schema": 1, "key": key, **op, "target": {"architecture": architecture, **device}, "toolchain": {"git": results["git"]},
                   "static": facts, "time": time, "outcome": row["outcome"], "max_error": max(errors) if errors else None,
                   "load": results["system"]["load"], "utc": results["system"]["utc"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=pathlib.Path)
    parser.add_argument("--write", action="store_true", help="keep the results and write the page")
    parser.add_argument("--rows", type=pathlib.Path, help="append rows for the cost model to this file")
    parser.add_argument("--page", type=pathlib.Path, default=PAGE, help="the page to write, with what is kept in the folder of its name")
    options = parser.parse_args()
    folder = options.page.with_suffix("")
    given = [json.loads(path.read_text(encoding="utf-8")) for path in options.results]
    if options.rows:
        with open(options.rows, "a", encoding="utf-8") as file:
            for results in given:
                file.writelines(json.dumps(row) + "\n" for row in rows_of(results))
    if not options.write:
        print(page(given or kept_in(folder)), end="")
        return
    for results in given:
        if results["device"].startswith("sim:"):
            sys.exit("report.py: error: results of a simulator say nothing about a card; they are not kept")
        folder.mkdir(exist_ok=True)
        name = re.sub(r"[^a-z0-9]+", "-", (results["product"] or results["device"]).lower()).strip("-")
        (folder / f"{name}-{results['system']['utc'][:10]}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(page(kept_in(folder)), encoding="utf-8")


def kept_in(folder):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


if __name__ == "__main__":
    main()
