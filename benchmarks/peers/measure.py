# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One contestant in a process of its own: measure.py WORKLOAD CONTESTANT OPTIONS [--prepare], called by run.py. Prints [row, value] lines."""

import json
import sys

from contestant import Options
from workloads import WORKLOADS


def main():
    workload, name, options, *rest = sys.argv[1:]
    for result in WORKLOADS[workload].contestants[name](Options.parse(options)):
        if result is None and rest == ["--prepare"]:
            return
        if result is not None:
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
