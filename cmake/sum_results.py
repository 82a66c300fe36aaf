# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Adds up the JUnit files of the test runners.

usage: sum_results.py FOLDER PART...    reads FOLDER/PART.xml of each part

Prints one line per part and a last one for all. Exits with 1 when a test failed or a part has no readable results.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    """(passed, failed, skipped) of a JUnit file, counted from its test cases."""
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"} or case.get("status") == "fail":
            failed += 1
        elif "skipped" in kinds or case.get("status") in ("disabled", "notrun"):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(folder, parts):
    total = [0, 0, 0]
    broken = False
    print()
    for part in parts:
        try:
            counts = count(pathlib.Path(folder) / f"{part}.xml")
        except (OSError, ElementTree.ParseError) as error:
            print(f"{part:8} no results: {error}")
            counts = (0, 1, 0)
        broken |= not any(counts)
        total = [a + b for a, b in zip(total, counts)]
        print(f"{part:8} {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
