# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures Whit beside its peers on this machine: llama.cpp, ONNX Runtime, ONNX Runtime GenAI, OpenVINO and IREE.

usage: ./dev bench [peers] [options]

Peers are installed from PyPI into an environment of their own the first time (llama.cpp is built from its sources there, about 8 minutes on two
cores; --no-llama goes without). In a round every contestant runs once, in a fresh process, and each round begins with another one, so that
noise meets all of them alike. Ctrl-C reports what was measured so far. Results go to docs/performance/peers.{md,json,svg} with --write, else
they are printed.
"""

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile

from contestant import BUILD, ROOT, Options
from report import markdown, picture, rows_of
from workloads import WORKLOADS, Limits

HERE = pathlib.Path(__file__).resolve().parent
PAGE = ROOT / "docs/performance/peers.md"
PACKAGES = ("numpy", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-genai", "openvino", "nncf", "iree-base-compiler[onnx]",
            "iree-base-runtime", "gguf", "safetensors", "cmake", "ninja")
SHAPES = "4096x4096,4096x14336,14336x4096,576x1536"  # K x N
FORMATS = "int4_g32,int4_g128,int2_g32,int2_g128,int8_g32,int8_g128"
LANGUAGE = ("language",)  # what is measured beside a busy neighbour as well
FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def log(text):
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------------------- setup

def setup(work, with_llama):
    """Makes the environment of the peers, unless it is there."""
    if not (work / "installed").exists():
        log(f"installing the peers into {work}")
        subprocess.run([sys.executable, "-m", "venv", work], check=True)
        subprocess.run([work / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES], check=True)
        (work / "cache").mkdir(exist_ok=True)
        (work / "installed").touch()
    if with_llama and not (work / "llama/bin/llama-bench").exists():
        build_llama(work)


def build_llama(work):
    """Builds the sources of llama.cpp that llama-cpp-python brings, for this processor."""
    log("building llama.cpp")
    name, tools, build = "llama-cpp-python", (work / "bin").absolute(), work / "llama"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([tools / "python", "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name, "-d", folder, name], check=True)
        with tarfile.open(next(pathlib.Path(folder).glob("*.tar.gz"))) as sources:
            sources.extractall(folder, filter="data")
        off = [f"-DLLAMA_{part}=OFF" for part in ("CURL", "OPENSSL", "BUILD_SERVER", "BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_UI")]
        subprocess.run([tools / "cmake", "-S", next(pathlib.Path(folder).glob("*/vendor/llama.cpp")), "-B", build, "-G", "Ninja", *off,
                        f"-DCMAKE_MAKE_PROGRAM={tools}/ninja", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON"], check=True)
        subprocess.run([tools / "cmake", "--build", build, "--target", "llama-bench", "llama-quantize"], check=True)


def build_probe(work):
    probe = work / "cache/machine-probe"
    compiler = next(filter(None, map(shutil.which, ("clang++-22", "clang++", "g++"))), None) or sys.exit("bench: found no C++ compiler")
    subprocess.run([compiler, "-std=c++20", "-O3", "-march=native", "-pthread", HERE / "probe.cpp", "-o", probe], check=True)
    return probe


def forget_other_builds(work):
    """Removes what another build of the compiler made: gigabytes of packed weights."""
    key = hashlib.sha256()
    for file in (BUILD / "bin/whit-compile", BUILD / "lib/libwhit_compiler.so"):
        key.update(file.read_bytes())
    known = work / "cache/compiler"
    if not known.exists() or known.read_text() != key.hexdigest():
        for folder in (work / "cache").glob("whit-*/"):
            shutil.rmtree(folder)
        known.write_text(key.hexdigest())


# --------------------------------------------------------------------------------------------------------- the rotation

class Rotation:
    """Runs contestants in turn and keeps what they print."""

    def __init__(self, settings, work):
        self.settings, self.work, self.probe = settings, work, build_probe(work)
        self.limits, self.rows, self.broken = Limits(), {}, set()

    def process(self, workload, name, options, *, prepares):
        """The lines that a contestant printed. One that fails once is left out from then on, and said so."""
        work = " ".join([workload, *(f"{k}x{n}" for k, n in options.shapes)])
        if (work, name) in self.broken:
            return []
        command = [self.work / "bin/python", HERE / "measure.py", workload, name, options.to_json(), *(["--prepare"] if prepares else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            self.broken.add((work, name))
            log(f"{name} is left out of {work}: {(done.stderr or done.stdout).strip()[-400:]}")
            return []
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]

    def options(self, threads, shapes):
        return Options(self.settings.models, self.work, threads, shapes, tuple(self.settings.formats), self.settings.cold_mib)

    def parts(self):
        """(workload, shapes) of everything to be measured."""
        for workload in self.settings.only:
            for shapes in [(shape,) for shape in self.settings.shapes] if WORKLOADS[workload].is_per_shape else [()]:
                yield workload, shapes

    def contestants(self, workload):
        return [name for name in WORKLOADS[workload].contestants if self.settings.llama or not name.startswith("llama.cpp")]

    def measure(self):
        for workload, shapes in self.parts():
            for name in self.contestants(workload):
                log(f"preparing {workload}: {name}")
                self.process(workload, name, self.options(1, shapes), prepares=True)
        for turn in range(self.settings.rounds):
            for threads in self.settings.threads:
                self.limits.add(json.loads(subprocess.run([self.probe, str(threads)], check=True, capture_output=True, text=True).stdout))
            for workload, shapes in self.parts():
                self.round(turn, workload, shapes, is_busy=False)
                if self.settings.neighbour and workload in LANGUAGE:
                    with Neighbour():
                        self.round(turn, workload, shapes, is_busy=True)
                log(f"round {turn + 1} of {self.settings.rounds}: {workload} {' '.join(f'{k}x{n}' for k, n in shapes)}")

    def round(self, turn, workload, shapes, is_busy):
        names = self.contestants(workload)
        start = turn % len(names)
        for threads in self.settings.threads:
            if workload == "compile" and threads > 1:
                continue
            for name in names[start:] + names[:start]:
                for row, value in self.process(workload, name, self.options(threads, shapes), prepares=False):
                    found = self.rows.setdefault((workload, row, threads, is_busy), {})
                    found.setdefault(name, []).append(value)

    def found(self):
        return [{"workload": workload, "row": row, "threads": threads, "busy": is_busy, "unit": WORKLOADS[workload].unit, "values": values}
                for (workload, row, threads, is_busy), values in self.rows.items()]


class Neighbour:
    """Another process that keeps the last core busy."""

    def __enter__(self):
        code = f"import os\nos.sched_setaffinity(0, {{{max(os.sched_getaffinity(0))}}})\nwhile True: pass"
        self.process = subprocess.Popen([sys.executable, "-c", code])

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


# ------------------------------------------------------------------------------------------------------------- the facts

def machine_facts(work):
    """What the numbers were measured on; no names of machines."""
    info = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    flags = info.get("flags", "").split()
    names = {package.split("[")[0] for package in PACKAGES}
    versions = {package.metadata["Name"]: package.version for package in importlib.metadata.distributions(
        path=[str(path) for path in work.glob("lib/python*/site-packages")]) if package.metadata["Name"] in names}
    return {"date": str(datetime.date.today()), "processor": info.get("model name", "unknown"), "cores": len(os.sched_getaffinity(0)),
            "last_level_cache": info.get("cache size", "unknown"), "features": [flag for flag in FLAGS if flag in flags], "versions": versions}


def cpu_seconds():
    """Busy seconds of the machine and seconds stolen by other guests since it started."""
    user, nice, system, _, _, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text(encoding="ascii").split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    own = os.times()
    return (user + nice + system + irq + softirq) / tick - sum(own[:4]), steal / tick, own.elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def several(text):
        return text.split(",")
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path(os.environ.get("WHIT_MODELS", BUILD / "models")),
                        help="folder with minilm.onnx, smollm2_genai_int4.onnx, smollm2_optimum_fp32.onnx and smollm2.gguf")
    parser.add_argument("--work", type=pathlib.Path, default=BUILD / "peers", help="environment of the peers and their files (default %(default)s)")
    parser.add_argument("--threads", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2], help="default 1,2")
    parser.add_argument("--only", type=several, default=list(WORKLOADS), help=f"workloads, of {', '.join(WORKLOADS)}")
    parser.add_argument("--shapes", type=several, default=several(SHAPES), help="K x N of products (default %(default)s)")
    parser.add_argument("--formats", type=several, default=several(FORMATS), help="formats of products (default %(default)s)")
    parser.add_argument("--cold-mib", type=int, default=512, help="weights that a cold product passes over, of each shape and format twice on disk (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--neighbour", action="store_true", help="measure the language model also while another process keeps the last core busy")
    parser.add_argument("--no-llama", dest="llama", action="store_false", help="leave llama.cpp out")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--write", action="store_true", help="write docs/performance/peers.{md,json,svg}")
    settings = parser.parse_args()
    settings.shapes = [tuple(map(int, shape.split("x"))) for shape in settings.shapes]
    settings.models, work = settings.models.resolve(), settings.work.absolute()
    if unknown := [name for name in settings.only if name not in WORKLOADS]:
        parser.error(f"unknown workload {unknown[0]}; known are {', '.join(WORKLOADS)}")
    for name in settings.only:
        for model in WORKLOADS[name].models:
            if not (settings.models / model).exists():
                parser.error(f"{name} needs {settings.models / model}; --models names the folder of the models, --only the workloads")
    setup(work, settings.llama)
    forget_other_builds(work)

    facts, before = machine_facts(work), cpu_seconds()
    rotation = Rotation(settings, work)
    try:
        rotation.measure()
    except KeyboardInterrupt:
        log("interrupted; reporting what was measured")
    others, stolen, elapsed = (after - start for after, start in zip(cpu_seconds(), before))
    facts |= {"rounds": settings.rounds, "minutes": round(elapsed / 60, 1), "cores_used_by_other_processes": round(max(0, others) / elapsed, 2),
              "cores_stolen": round(stolen / elapsed, 2)}
    found = rotation.found()
    run = {"facts": {"workloads": settings.only, **facts}, "limits": rotation.limits.seen, "rows": found}
    if settings.json:
        settings.json.write_text(json.dumps(run, indent=1) + "\n")
    if settings.write:
        write_page([*kept_runs(PAGE.with_suffix(".json"), settings.only), run])
    else:
        print(markdown([run]))


def kept_runs(file, workloads):
    """What earlier runs measured of other workloads."""
    kept = []
    for run in json.loads(file.read_text())["runs"] if file.exists() else []:
        run["rows"] = [row for row in run["rows"] if row["workload"] not in workloads]
        run["facts"]["workloads"] = [name for name in run["facts"]["workloads"] if name not in workloads]
        kept += [run] * bool(run["rows"])
    return kept


def write_page(runs):
    PAGE.write_text(markdown(runs))
    PAGE.with_suffix(".json").write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    PAGE.with_suffix(".svg").write_text(picture(rows_of(runs)))


if __name__ == "__main__":
    main()
