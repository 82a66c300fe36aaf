# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What run.sh does: correctness of every kernel first, then times, those of other libraries, and compute-sanitizer; results as JSON.

Times are the device's own (events around a graph of many runs of a kernel, each with other copies of the weights, more of them than the L2
holds). A case with a wrong result is not timed. Needs nothing but Python 3.8; on a simulated device no time is taken.
"""

import argparse
import contextlib
import datetime
import fnmatch
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

import arrays


def tail(text, count=600):
    return text.strip()[-count:]


class Runner:
    """Calls whit-run on the cases of a bundle."""

    def __init__(self, bundle, options, scratch):
        self.bundle, self.options, self.scratch = bundle, options, scratch
        self.program = options.whit_run or bundle / "bin/whit-run"
        # --trust writes down what it trusts; this machine's own list is left alone.
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(scratch)}
        if not options.whit_run:
            libraries = [str(bundle / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
            self.environment["LD_LIBRARY_PATH"] = ":".join(filter(None, libraries))

    def command(self, case, *flags):
        return [str(self.program), str(self.bundle / case["artifact"]), f"--device={self.options.device}", "--trust", "--json", *flags]

    def run(self, case, *flags):
        """(exit status, what it reports, what it says on stderr)"""
        done = subprocess.run(self.command(case, *flags), capture_output=True, text=True, check=False, env=self.environment,
                              timeout=self.options.timeout)
        try:
            report = json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            report = {}
        return done.returncode, report, tail(done.stderr)

    def need_device(self, case):
        """The device's name. Ends the program if there is no such device, or none for which the bundle has kernels; what a kernel does wrong is a
        result."""
        code, report, said = self.run(case, *self.check_flags(case["checks"][0], (case["checks"][0]["rows"] or [None])[0]))
        if code in (2, 7) and f"error: device '{self.options.device}': " not in said:
            sys.exit(f"run.sh: {said}")
        return report.get("device_name")

    def check_flags(self, check, rows):
        """Inputs and reference, cut to `rows`."""
        files = []
        for kind in ("inputs", "expected"):
            path = self.bundle / check[kind]
            if rows is not None:
                short = self.scratch / f"{kind}.npz"
                arrays.take_rows(path, short, rows)
                path = short
            files.append(str(path))
        return ["--inputs", files[0], "--expect", files[1], "--rtol", str(check["rtol"]), "--atol", str(check["atol"])]

    def check(self, case, check, rows):
        result = {"check": check["name"], "rows": rows}
        try:
            code, report, said = self.run(case, *self.check_flags(check, rows))
        except subprocess.TimeoutExpired:
            return {**result, "outcome": "failed", "message": f"no result after {self.options.timeout} s"}
        compared = report.get("expect", {}).values()
        result["outcome"] = "ok" if code == 0 and compared else "wrong" if code == 8 else "failed"
        if compared:
            result["max_error"] = max(c["max_abs"] for c in compared)
        if result["outcome"] != "ok":
            result["message"] = said
        return result

    def time(self, case, time):
        """A row of results; times are null on a device without a clock."""
        row = {"time": time["name"], "rows": time["rows"]}
        if "generate" in time:
            flags = ["--generate", str(time["generate"]), "--prompt-ids", ",".join(map(str, time["prompt"]))]
        else:
            flags = ["--benchmark", str(self.options.runs), "--repeat", str(self.options.repeat), "--rotate", str(self.options.rotate)]
            flags += [f"--dim={name}={value}" for name, value in time["dims"].items()]
        try:
            code, report, said = self.run(case, *flags)
        except subprocess.TimeoutExpired:
            return {**row, "outcome": "failed", "message": f"no result after {self.options.timeout} s"}
        if code:
            return {**row, "outcome": "failed", "message": said}
        row["outcome"] = "ok"
        simulated = self.options.device.startswith("sim:")
        for name in ("device_us_min", "device_us_median", "ms_min", "ms_median", "decode_tps", "prefill_tps"):
            if name in report:
                row[name] = None if simulated else report[name]
        for name in ("device_repeat", "device_copies", "kernels", "graph", "note", "device_architecture"):
            if name in report:
                row[name] = report[name]
        return row


def machine_of(product, machines):
    """The datasheet of a product: the row whose words, but for the maker's and the socket's, are all in its name. Rows are of SXM boards; those
    for PCIe have less memory bandwidth under the same name, and none is taken for them."""
    words = set(product.upper().replace("-", " ").split())
    if words & {"PCIE", "NVL"}:
        return None
    return next((m for m in machines if set(m["product"].upper().split()) - {"NVIDIA", "AMD", "SXM"} <= words), None)


def add_shares(case, row, machine):
    """Bytes and operations a second, and what part of the card's that is."""
    us = row.get("device_us_median")
    if not us or case["kind"] != "kernel":
        return
    m, n, k = row["rows"], case["n"], case["k"]
    moved = case["weight_bytes"] + m * (n + k) * (2 if case["element"] == "bf16" else 4)
    row["gbs"], row["tflops"] = moved / us / 1e3, 2.0 * m * n * k / us / 1e6
    if machine:
        row["memory_share"], row["compute_share"] = row["gbs"] / machine["gbs"], row["tflops"] / machine["f16_tflops"]


def system():
    """This machine, and what nvidia-smi says of its card."""
    about = {"utc": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "os": platform.platform(),
             "processor": platform.processor() or platform.machine(), "load": os.getloadavg()[0]}
    if program := shutil.which("nvidia-smi"):
        fields = "name,driver_version,clocks.max.sm,clocks.max.mem,power.limit,memory.total"
        done = subprocess.run([program, f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            about["nvidia_smi"] = [dict(zip(fields.split(","), map(str.strip, line.split(",")))) for line in done.stdout.splitlines()]
    return about


def baselines(options, cases, log):
    """What baselines.py measured, in a process of its own, since libraries may end it."""
    shapes = sorted({(c["k"], c["n"]) for c in cases if c["kind"] == "kernel" and c["times"]})
    rows = sorted({t["rows"] for c in cases if c["kind"] == "kernel" for t in c["times"]})
    decoders = [{"model": c["name"], **c["decoder"]} for c in cases if "decoder" in c]
    if not (shapes or decoders) or options.no_baselines or not options.device.startswith("cuda"):
        return []
    log("other libraries")
    script = pathlib.Path(__file__).with_name("baselines.py")
    asked = {"shapes": shapes, "rows": rows, "decoders": decoders, "rotate": options.rotate, "runs": options.runs, "repeat": options.repeat}
    command = [sys.executable, str(script), options.device, json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10 * options.timeout)
    except subprocess.TimeoutExpired:
        return [{"library": "all", "outcome": "failed", "message": "no end"}]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        found.append({"library": "all", "outcome": "failed", "message": tail(done.stderr)})
    return found


def sanitize(runner, cases, log):
    """compute-sanitizer on the small cases, where it is installed: bounds and shared-memory races."""
    program = shutil.which("compute-sanitizer") or next(iter(sorted(map(str, pathlib.Path("/usr/local").glob("cuda*/bin/compute-sanitizer")))), None)
    if not program or not runner.options.device.startswith("cuda"):
        return []
    results = []
    for case in cases:
        if case["times"] or case["kind"] != "kernel":
            continue
        for check in ("memcheck", "racecheck"):
            log(f"{check} {case['name']}")
            flags = runner.check_flags(case["checks"][0], max(case["checks"][0]["rows"]))
            command = [program, "--tool", check, "--error-exitcode", "99", *runner.command(case, *flags)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, env=runner.environment, timeout=runner.options.timeout)
                outcome = {0: "ok", 99: "wrong"}.get(done.returncode, "failed")
                results.append({"case": case["name"], "tool": check, "outcome": outcome,
                                **({} if outcome == "ok" else {"message": tail(done.stdout + done.stderr, 2000)})})
            except subprocess.TimeoutExpired:
                results.append({"case": case["name"], "tool": check, "outcome": "failed", "message": "no end"})
    return results


def measure(runner, about, save, log):
    """The results of all cases: first all checks, then all times. `save` gets what there is so far, since a driver may take the machine with it."""
    options = runner.options
    cases = [c for c in about["cases"] if not options.only or any(fnmatch.fnmatch(c["name"], glob) for glob in options.only)]
    if not cases:
        sys.exit(f"run.sh: error: no case is called {' or '.join(options.only)}; there are {', '.join(c['name'] for c in about['cases'])}")
    product = runner.need_device(cases[0])
    found = {"schema": 1, "device": options.device, "product": product, "machine": machine_of(product or "", about["machines"]), "system": system(), "git": about["git"],
             "rotate_mib": options.rotate, "repeat": options.repeat, "runs": options.runs, "cases": [], "baselines": [], "sanitizer": []}
    for case in cases:
        checks = [runner.check(case, check, rows) for check in case["checks"] for rows in check["rows"] or [None]]
        bad = [c for c in checks if c["outcome"] != "ok"]
        log(f"{'ok   ' if not bad else bad[0]['outcome'].upper():6} {case['name']}: {len(checks) - len(bad)} of {len(checks)} checks"
            + (f"; {bad[0]['message'].splitlines()[-1] if bad[0]['message'] else ''}" if bad else ""))
        kept = {key: case[key] for key in ("name", "kind", "format", "activations", "element", "k", "n", "weight_bytes", "facts") if key in case}
        found["cases"].append({**kept, "checks": checks, "times": []})
        save(found)
    for case, result in zip(cases, found["cases"]):
        if any(c["outcome"] != "ok" for c in result["checks"]):
            continue
        for time in case["times"]:
            row = runner.time(case, time)
            add_shares(case, row, found["machine"])
            result["times"].append(row)
            us, share = row.get("device_us_median"), row.get("memory_share")
            log(f"       {case['name']} {time['name']}: " + (f"{us:.2f} us" if us else f"{row['decode_tps']:.0f} tokens/s" if row.get("decode_tps")
                else row["outcome"] if row["outcome"] != "ok" else "no time") + (f", {100 * share:.0f} % of the memory's rate" if share else ""))
        save(found)
    found["baselines"] = baselines(options, cases, log)
    save(found)
    found["sanitizer"] = [] if options.no_sanitizer else sanitize(runner, cases, log)
    save(found)
    return found


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--device", default="cuda:0", help="as whit-run has it: cuda:0, or sim:sm_80 with --whit-run")
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("results.json"), help="where results go (default results.json)")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="cases of these names alone; repeatable")
    parser.add_argument("--whit-run", type=pathlib.Path, help="another whit-run than the bundle's")
    parser.add_argument("--runs", type=int, default=20, help="measurements, of which the median is taken (default 20)")
    parser.add_argument("--repeat", type=int, default=32, help="runs of a kernel in a graph (default 32)")
    parser.add_argument("--rotate", type=int, default=256, help="MiB of weights that runs take turns with (default 256)")
    parser.add_argument("--timeout", type=int, default=300, help="seconds that one call may take (default 300)")
    parser.add_argument("--no-baselines", action="store_true", help="do not measure other libraries")
    parser.add_argument("--no-sanitizer", action="store_true", help="do not run compute-sanitizer, which takes longer than all the rest")
    options = parser.parse_args()
    about = json.loads((options.bundle / "cases.json").read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = Runner(options.bundle.resolve(), options, scratch)

        def save(results):
            options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

        results = measure(runner, about, save, lambda text: print(text, file=sys.stderr, flush=True))
    outcomes = [c["outcome"] for case in results["cases"] for c in case["checks"] + case["times"]] + [s["outcome"] for s in results["sanitizer"]]
    bad = sum(o != "ok" for o in outcomes)
    print(f"{options.json}: {len(outcomes) - bad} of {len(outcomes)} ok on {results['product'] or options.device}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
