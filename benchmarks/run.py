# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures compiled models with whit-run and prints one line per model and number of threads.

usage: ./dev bench MODEL.so... [--threads 1,2] [--runs 20] [--dim NAME=N]... [--prompt 128 --generate 64] [--json] [--name NAME]

Without --generate, a model is run on random inputs: milliseconds of the fastest, the median and the 90th percentile run.
With it, the model is a language model: tokens per second of a prompt and of what follows it. --name says what was measured, in the
objects that --json prints; `ms` is the fastest run.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
WHIT_RUN = pathlib.Path(os.environ.get("WHIT_BUILD", ROOT / "build")) / "bin" / "whit-run"


def measure(model, threads, options):
    """What whit-run reports about one model, as a dictionary."""
    command = [WHIT_RUN, model, f"--threads={threads}", "--json"]
    command += [f"--dim={dim}" for dim in options.dim]
    if options.generate:
        # Any ids do: the time of a token does not depend on which one it is.
        prompt = ",".join(str(1 + i % 1000) for i in range(options.prompt))
        command += [f"--generate={options.generate}", f"--prompt-ids={prompt}"]
    else:
        command += [f"--benchmark={options.runs}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{model}: whit-run ended with {done.returncode}: {done.stderr.strip()}")
    found = {"name": options.name or pathlib.Path(model).stem, "model": model, "threads": threads, **json.loads(done.stdout)}
    return found if options.generate else {**found, "ms": found["ms_min"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.so")
    parser.add_argument("--threads", default="1", help="comma-separated thread counts (default 1)")
    parser.add_argument("--runs", type=int, default=20, help="runs per measurement (default 20)")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N", help="value of a symbolic dimension")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of the prompt (default 128)")
    parser.add_argument("--generate", type=int, default=0, metavar="N", help="generate N tokens")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--name", help="name of the measurement, by default that of the model")
    options = parser.parse_args()
    columns = ["prefill_tps", "decode_tps"] if options.generate else ["ms_min", "ms_median", "ms_p90", "peak_rss_mb"]
    if not options.json:
        print(f"{'model':32} threads " + " ".join(f"{name:>12}" for name in columns))
    for model in options.models:
        for threads in map(int, options.threads.split(",")):
            found = measure(model, threads, options)
            if options.json:
                found.pop("tokens", None)
                print(json.dumps(found))
            else:
                print(f"{pathlib.Path(model).name:32} {threads:7} " + " ".join(f"{found[name]:12.2f}" for name in columns))


if __name__ == "__main__":
    main()
