# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What each number format costs: bits, accuracy of a model and time of its kernel, for every row of the table.

usage: ./dev bench formats [--formats int4_g32,nf4,...] [--only accuracy|speed] [--again] [--cold-mib 1024] [--turns 7] [--write]

The rows are those of `whit-opt --list-formats`; families stand for themselves with the grouping that their short name means, else with
groups of 32. For each of them

  bits, MB, SNR   of all matrices of MiniLM together, quantized by least squares (whit-compile --report)
  cosine          mean (least) over the sentences of test/e2e/sentences.txt, beside the f32 model (benchmarks/accuracy.py)
  hot, cold       time of a product with one row of activations for each weight, relative to int4_g32 in the same rounds on one thread;
                  medians. Hot weights fill 16 MiB, cold ones are as many copies as --cold-mib (benchmarks/kernels/matmul.sh)
  bytes           packed bytes for each weight, relative to those of int4_g32: what `cold` would be if only memory counted

What was measured, and on what, is kept as JSON in docs/performance/formats.json (or --keep FILE) after each step, and not measured again
but with --again. So the two parts can be measured apart, accuracy on a busy machine and speed on a quiet one:

  ./dev bench formats --only accuracy --write && ./dev bench formats --only speed --again --write

Activations are int8 where the format allows it. --write puts the table into docs/performance/formats.md and its picture beside it.
"""

import argparse
import collections
import datetime
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import accuracy
from accuracy import BUILD, MODELS, ROOT

PAGE = ROOT / "docs/performance/formats.md"
PICTURE, KEPT = PAGE.with_suffix(".svg"), PAGE.with_suffix(".json")
BASE = "int4_g32"
AT_ONCE = 6  # kernels in one process: so many times --cold-mib of memory
Row = collections.namedtuple("Row", "name kind formula")
Speed = collections.namedtuple("Speed", "hot cold bytes")


def kind_of(formula):
    """What decodes a format: the codec of its first term, or that there are several terms."""
    if re.search(r"> .*\+ \w+<", formula):
        return "several terms"
    codec = re.match(r"\(?(\w+)<", formula)
    return {"int": "integer", "nested": "integer"}.get(codec[1], codec[1]) if codec else "plain"


def stem_of(name):
    """A name without its grouping and the type of its scales."""
    return re.sub(r"_(g\d+|channel|tensor)|_(f32|bf16)$", "", name)


def all_rows():
    """One format for each row of the table."""
    done = subprocess.run([str(BUILD / "bin/whit-opt"), "--list-formats"], capture_output=True, text=True, check=True)
    header, *lines = done.stdout.split("\n\n")[0].splitlines()
    rows = []
    for line in lines:
        name, rest = line.split(maxsplit=1)
        stem = name.replace("_gN", "")
        is_short = re.search(rf"(^|\s|>|N){re.escape(stem)}=", rest)
        rows.append(Row(stem if is_short else name.replace("_gN", "_g32"), kind_of(rest), rest))
    return rows


def speeds(names, cold, turns, found, log):
    """Adds the Speed of each format; where int8 activations cannot be, that of f32."""
    others = [name for name in names if name not in (BASE, *found)]
    environment = {**os.environ, "BUILD": str(BUILD), "ACTIVATIONS": "auto", "ROWS": "1", "TURNS": str(turns), "BYTES": f"0 {cold}"}
    for at in range(0, len(others), AT_ONCE - 1):
        command = [str(ROOT / "benchmarks/kernels/matmul.sh"), ";".join([BASE, *others[at:at + AT_ONCE - 1]]), "16M"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        log(done.stderr.strip())
        times, sizes = collections.defaultdict(list), {}
        for line in done.stdout.splitlines():
            name, _, milliseconds, _, _, size, each = line.rsplit(" ", 6)
            times[name].append(float(each))
            sizes[name] = float(size) * float(each) / float(milliseconds)  # bytes for each weight, but for a constant
        for name, measured in times.items():
            ratios = [mine / base for mine, base in zip(measured, times[BASE])]
            if len(ratios) == 2 * turns:
                found[name] = Speed(statistics.median(ratios[:turns]), statistics.median(ratios[turns:]), sizes[name] / sizes[BASE])
                log(f"{name}: hot {found[name].hot:.2f}, cold {found[name].cold:.2f}, bytes {found[name].bytes:.2f}")
        yield


Accuracy = collections.namedtuple("Accuracy", "bits bytes snr mean least")


def accuracies(measure, names, found, log):
    """Adds the Accuracy of each format that the model can be compiled with."""
    reference, _ = measure.embed()
    for name in names:
        if name in found:
            continue
        try:
            embedding, report = measure.embed(f"--weights={name}")
        except SystemExit as error:  # what a tool says when it fails
            log(f"{name}: {error}")
            continue
        total, near = report["weights_total"], accuracy.cosines(reference, embedding)
        found[name] = Accuracy(total["bits_per_weight"], total["bytes_after"], total.get("snr_db"), float(near.mean()), float(near.min()))
        log(f"{name}: {found[name]}")
        yield


def table(rows, accurate, fast):
    """Of what was measured, and the names of what was not."""
    lines = [["format", "kind", "bits", "MB", "SNR, dB", "cosine (least)", "hot", "cold", "bytes"]]
    for row in rows:
        a, s = accurate.get(row.name), fast.get(row.name)
        if not a and not s:
            continue
        snr = "" if not a else "exact" if a.snr is None else f"{a.snr:.1f}"
        lines.append([f"`{row.name}`", row.kind, *([f"{a.bits:.2f}", f"{a.bytes / 1e6:.1f}", snr, f"{a.mean:.5f} ({a.least:.4f})"] if a
                                                   else [""] * 4),
                      *([f"{x:.2f}" for x in s] if s else [""] * 3)])
    text = accuracy.markdown(lines)
    for what, found in (("accuracy", accurate), ("speed", fast)):
        missing = [f"`{row.name}`" for row in rows if row.name not in found]
        if missing:
            text += f"\n\nNot measured, {what}: {', '.join(missing)}."
    return text


COLOURS = {"integer": "#4477aa", "float": "#ee6677", "table": "#228833", "choice": "#ccbb44", "several terms": "#aa3377", "plain": "#777777"}
OTHER = "#66ccee"


class Panel:
    """Points in a square of a picture, x and y on logarithmic or plain axes."""

    def __init__(self, left, title, xs, ys, x_of, y_of):
        self.left, self.top, self.size = left, 40, 400
        self.parts = [f'<text x="{left}" y="24" font-weight="bold">{title}</text>',
                      f'<rect x="{left}" y="{self.top}" width="{self.size}" height="{self.size}" fill="none" stroke="#aaa"/>']
        self.x_of, self.y_of = x_of, y_of
        self.x_range, self.y_range = (x_of(xs[0]), x_of(xs[-1])), (y_of(ys[0]), y_of(ys[-1]))
        for x in xs:
            self.parts.append(f'<text x="{self.x(x):.0f}" y="{self.top + self.size + 16}" text-anchor="middle">{x:g}</text>')
        for y in ys:
            self.parts.append(f'<line x1="{left}" x2="{left + self.size}" y1="{self.y(y):.1f}" y2="{self.y(y):.1f}" stroke="#eee"/>'
                              f'<text x="{left - 6}" y="{self.y(y) + 4:.0f}" text-anchor="end">{y:g}</text>')

    def x(self, value):
        low, high = self.x_range
        return self.left + self.size * (self.x_of(value) - low) / (high - low)

    def y(self, value):
        low, high = self.y_range
        return self.top + self.size * (1 - (self.y_of(value) - low) / (high - low))

    def point(self, row, x, y, label, is_hollow=False):
        colour = COLOURS.get(row.kind, OTHER)
        fill = "none" if is_hollow else colour
        text = f'<text x="{self.x(x) + 6:.1f}" y="{self.y(y) + 4:.1f}" font-size="9">{row.name}</text>' if label else ""
        self.parts.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5" fill="{fill}" stroke="{colour}">'
                          f"<title>{row.name}: {x:.2f}, {y:.2f}</title></circle>{text}")

    def line(self, points):
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="#999" stroke-dasharray="4 3"/>')


def best_of(points):
    """The names of those (x, y, name) that no other beats in both: less x, more y."""
    best, names = float("-inf"), set()
    for x, y, name in sorted(points, key=lambda p: (p[0], -p[1])):
        if y > best:
            best, names = y, names | {name}
    return names


def picture(rows, accurate, fast):
    left = Panel(50, "signal to noise, dB, against bits per weight", (1, 2, 4, 8), (0, 10, 20, 30, 40, 50), math.log2, float)
    right = Panel(520, "time cold (hot: hollow) against bytes, relative to int4_g32", (0.25, 0.5, 1, 2), (0.25, 0.5, 1, 2, 4), math.log2,
                  math.log2)
    exact = [row for row in rows if row.name in accurate and accurate[row.name].snr is not None]
    chosen = best_of([(accurate[row.name].bits, accurate[row.name].snr, row.name) for row in exact])
    for row in exact:
        a = accurate[row.name]
        if 1 <= a.bits <= 8.6:
            left.point(row, min(a.bits, 8), max(0, min(50, a.snr)), row.name in chosen)
    right.line([(0.25, 0.25), (2, 2)])
    for row in rows:
        if row.name in fast and fast[row.name].bytes <= 2:
            s = fast[row.name]
            for y, is_hollow in ((s.hot, True), (s.cold, False)):
                right.point(row, max(0.25, s.bytes), max(0.25, min(4, y)), not is_hollow and s.cold > 1.3 * max(s.bytes, 0.3), is_hollow)
    legend = "".join(f'<circle cx="{60 + 120 * i}" cy="480" r="4" fill="{c}"/><text x="{70 + 120 * i}" y="484">{kind}</text>'
                     for i, (kind, c) in enumerate((COLOURS | {"others": OTHER}).items()))
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="960" height="500" font-family="sans-serif" font-size="11">'
            '<rect width="960" height="500" fill="white"/>' + "\n".join(left.parts + right.parts) + legend + "</svg>\n")


def machine():
    """What the numbers were measured on, in words."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        flags = next(line for line in file if line.startswith("flags"))
    has = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("avx512_vnni", "VNNI"), ("avx512vbmi", "VBMI"), ("gfni", "GFNI"),
                                   ("amx_int8", "AMX")) if f" {flag}" in flags]
    return f"{os.cpu_count()} cores with {', '.join(has)}, {os.getloadavg()[1]:.1f} processes at work on average while it was measured"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", help="comma-separated names instead of all rows")
    parser.add_argument("--cold-mib", type=int, default=1024, help="weights that a cold run passes over (default %(default)s)")
    parser.add_argument("--turns", type=int, default=7, help="rounds of each kernel (default %(default)s)")
    parser.add_argument("--only", choices=("accuracy", "speed"), help="one of the two parts; the other stays as it was measured")
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE", default=KEPT, help="what was measured, to be added to (default %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the table and its picture into docs/performance")
    options = parser.parse_args()
    rows = all_rows()
    if options.formats:
        kinds = {stem_of(row.name): row.kind for row in rows}
        rows = [Row(name, kinds.get(stem_of(name), "formula"), "") for name in options.formats.split(",")]
    names = [row.name for row in rows]

    def log(text):
        if text:
            print(text, file=sys.stderr, flush=True)

    kept = json.loads(options.keep.read_text()) if options.keep.exists() else {}
    accurate = {name: Accuracy(*values) for name, values in kept.get("accurate", {}).items()}
    fast = {name: Speed(*values) for name, values in kept.get("fast", {}).items()}
    notes = kept.get("notes", {})

    def keep(part, found, steps, how):
        if options.again:
            for name in names:
                found.pop(name, None)
        before = dict(found)
        for _ in steps:
            if found != before:
                notes[part] = f"{datetime.date.today()} on {machine()}{how}"
            options.keep.write_text(json.dumps({"notes": notes, "accurate": accurate, "fast": fast}, indent=1) + "\n")

    if options.only != "speed":
        inputs = accuracy.read_inputs(MODELS / "minilm.onnx", accuracy.find_tokenizer(None))
        with tempfile.TemporaryDirectory() as folder:
            measure = accuracy.Measure(MODELS / "minilm.onnx", inputs, folder, "host")
            keep("accuracy", accurate, accuracies(measure, names, accurate, log), "")
    if options.only != "accuracy":
        keep("speed", fast, speeds(names, options.cold_mib << 20, options.turns, fast, log),
             f", cold weights of {options.cold_mib} MiB, medians of {options.turns} rounds")
    text = "".join(f"{part.capitalize()}: {note}.\n\n" for part, note in sorted(notes.items())) + table(rows, accurate, fast)
    print(text)
    if options.write:
        PICTURE.write_text(picture(rows, accurate, fast))
        accuracy.write_between(PAGE, f"![Signal to noise and time of all formats]({PICTURE.name})\n\n{text}")


if __name__ == "__main__":
    main()
