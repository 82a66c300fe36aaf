# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where long runs write what they did: docs/ledger.md, when `./dev test --long` says so in WHIT_LEDGER."""
import datetime
import os


def record(run: str, seconds: float, did: str, failures: int) -> None:
    print(f"{run}: {did} in {seconds:.0f} s, {failures} failures")
    if path := os.environ.get("WHIT_LEDGER"):
        with open(path, "a") as ledger:
            ledger.write(f"| {datetime.date.today()} | {run} | {seconds:.0f} | {did} | {failures} |\n")
