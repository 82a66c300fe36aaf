# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What was measured as rows, as Markdown and as a picture.

A row is {workload, row, threads, unit, values: {contestant: [value of each round]}}; busy rows were measured beside a process that keeps the
last core busy. A cell is the best round and, in brackets, the median; where they are far apart, the machine was noisy.
"""

import json
import math
import statistics

from workloads import WORKLOADS, Limits

OURS = "Whit"


class Row:
    """A row of a table, with the best of each contestant."""

    def __init__(self, found, limits):
        self.workload, self.name, self.threads, self.busy = found["workload"], found["row"], found["threads"], found["busy"]
        self.values = found["values"]
        self.is_rate = WORKLOADS[self.workload].is_rate
        pick = max if self.is_rate else min
        self.best = {name: pick(values) for name, values in self.values.items()}
        self.peers = {name: value for name, value in self.best.items() if name != OURS}
        self.best_peer = pick(self.peers, key=self.peers.get) if self.peers else None
        self.winner = pick(self.best.values())
        self.least_seconds = None if self.busy else limits.seconds(self.name, self.threads)

    def ratio(self):
        """How many times as fast as the best peer Whit is, or None."""
        if OURS not in self.best or not self.peers:
            return None
        ours, theirs = self.best[OURS], self.peers[self.best_peer]
        return ours / theirs if self.is_rate else theirs / ours

    def share_of_limit(self, name):
        """The least time that the machine allows, over the time that a contestant took."""
        if self.least_seconds is None or name not in self.best:
            return None
        seconds = 1 / self.best[name] if self.is_rate else self.best[name] * 1e-3
        return self.least_seconds / seconds

    def cell(self, name):
        if name not in self.values:
            return ""
        best = number(self.best[name])
        return f"{f'**{best}**' if self.best[name] == self.winner else best} ({number(statistics.median(self.values[name]))})"


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def percent(value):
    return "" if value is None else f"{value:.0%}"


def table(rows):
    names = [name for name in WORKLOADS[rows[0].workload].contestants if any(name in row.values for row in rows)]
    heads = [WORKLOADS[rows[0].workload].unit, "threads", *names]
    has_ratio, has_limit = any(row.ratio() for row in rows), any(row.least_seconds for row in rows)
    heads += ["to the best peer"] * has_ratio + ["Whit, of the limit"] * has_limit
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        cells = [row.name, f"{row.threads}{', a busy neighbour' if row.busy else ''}", *map(row.cell, names)]
        ratio = row.ratio()
        cells += [f"{ratio:.2f}x" if ratio else ""] * has_ratio + [percent(row.share_of_limit(OURS))] * has_limit
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def within(rows):
    """Ratios of Whit's rows among themselves: by rows M, by formats, by caches, beside a neighbour."""
    ours = {(row.name, row.threads, row.busy): row.best[OURS] for row in rows if OURS in row.best}
    found = []
    for (name, threads, busy), value in ours.items():
        if "M=1" in name and name.endswith("M=1"):
            for m in (4, 8):
                other = ours.get((f"{name[:-1]}{m}", threads, busy))
                if other:
                    found.append([f"{name[7:-4]}: M = {m} to M = 1, time", str(threads), f"{other / value:.2f}"])
        if name.endswith("M=128 (own)") and "int4" not in name:
            base = ours.get((name.replace(name.split()[4], "int4_g32"), threads, busy))
            if base:
                found.append([f"{name.split()[4]} to int4_g32, M = 128, speed", str(threads), f"{base / value:.2f}"])
        if name.startswith("attention to") and not name.endswith("f16"):
            base = ours.get((f"{name.rsplit(', ', 1)[0]}, f16", threads, busy))
            if base:
                found.append([f"{name} to f16, speed", str(threads), f"{value / base:.2f}"])
        if busy and (alone := ours.get((name, 1, False))):
            found.append([f"{name}, {threads} threads beside a neighbour to one thread alone, speed", str(threads), f"{value / alone:.2f}"])
    if not found:
        return ""
    lines = [["Whit beside itself", "threads", ""], ["---"] * 3, *found]
    return "## Whit beside itself\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows_of(runs):
    """Rows of runs of the benchmark, {facts, limits, rows}, each with the limits of its own run."""
    return [Row(row, Limits(run["limits"])) for run in runs for row in run["rows"]]


def markdown(runs):
    rows = rows_of(runs)
    text = ["# Whit beside its peers", "",
            "Written by `./dev bench`. A cell is the best round and, in brackets, the median round; programs take turns, each in a process of its "
            "own. How contestants are set up is said in `benchmarks/peers`.", "", "![Speed of Whit to the best peer](peers.svg)", ""]
    for run in runs:
        text += [f"- {key.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value)}" for key, value in run["facts"].items()]
        text += [f"- limits with {threads} threads: {json.dumps(seen)}" for threads, seen in run["limits"].items()] + [""] * (run != runs[-1])
    for name, workload in WORKLOADS.items():
        mine = sorted((row for row in rows if row.workload == name), key=lambda row: (row.busy, row.threads))
        if mine:
            text += ["", f"## {workload.title}", "", table(mine)]
    return "\n".join([*text, "", within(rows)]).rstrip() + "\n"


BAR, LABEL, SCALE = 16, 330, 200  # heights and widths in pixels; SCALE: of a factor of two


def picture(rows):
    """A bar for each row: how many times as fast as its best peer Whit is, on a logarithmic axis."""
    bars = [(f"{row.name}, {row.threads}{' busy' if row.busy else ''}", row.ratio(), row.best_peer) for row in rows if row.ratio()]
    least, most = -1, max([1.0, *(math.log2(ratio) for _, ratio, _ in bars)])

    def x(ratio):
        return LABEL + SCALE * (min(max(math.log2(ratio), least), most) - least)
    width, height = x(2**most) + 160, BAR * len(bars) + 60
    parts = []
    for power in range(least, math.floor(most) + 1):
        parts.append(f'<line x1="{x(2**power):.0f}" x2="{x(2**power):.0f}" y1="30" y2="{height - 20}" stroke="{"#888" if power == 0 else "#ddd"}"/>'
                     f'<text x="{x(2**power):.0f}" y="22" text-anchor="middle">{2**power:g}x</text>')
    for i, (name, ratio, peer) in enumerate(bars):
        top, left, right = 34 + BAR * i, min(x(1), x(ratio)), max(x(1), x(ratio))
        parts.append(f'<text x="{LABEL - 8}" y="{top + 11}" text-anchor="end">{name}</text>'
                     f'<rect x="{left:.1f}" y="{top}" width="{max(right - left, 1):.1f}" height="{BAR - 4}" fill="{"#4477aa" if ratio >= 1 else "#ee6677"}"/>'
                     f'<text x="{max(x(ratio), x(1)) + 4:.0f}" y="{top + 11}">{ratio:.2f}x {peer}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="sans-serif" font-size="11">'
            f'<rect width="{width:.0f}" height="{height}" fill="white"/>' + "\n".join(parts) + "</svg>\n")
