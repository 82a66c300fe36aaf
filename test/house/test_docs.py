# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the documentation points at exists: links, files named in text, commands of ./dev, flags of whit-compile."""

import re

from tree import ROOT, files, report, text

PAGES = [path for path in files() if path.suffix == ".md"]
# Names that stand for what a reader will add, or that a command of the page makes.
EXAMPLES = ("CountWeights", "count-weights", "FuseDequant", "fuse-dequant", "NAME", "<", "*", "NNN")
ROOMS = ("include/", "runtime/", "dialects/", "passes/", "lib/", "tools/", "python/", "test/", "docs/", "cmake/", "benchmarks/", "examples/")


def test_links_lead_somewhere():
    problems = []
    for page in PAGES:
        prose = re.sub(r"(?ms)^```.*?^```$", "", text(page))  # a lambda of C++ looks like a link
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
            if "://" not in target and not (ROOT / page).parent.joinpath(target).exists():
                problems.append(f"{page}: the link to {target} leads nowhere")
    report(problems)


def test_files_that_are_named_exist():
    problems = []
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+)`", text(page)):
            if name.startswith(ROOMS) and not any(word in name for word in EXAMPLES) and not (ROOT / name).exists():
                problems.append(f"{page}: {name} does not exist")
    report(problems)


def test_commands_of_dev_exist():
    known = set(re.findall(r"(?m)^cmd_([\w-]+)\(\)", text("dev")))
    assert {"setup", "build", "demo", "test", "bench", "fmt", "docs", "help"} <= known
    problems = []
    for page in PAGES:
        for command in re.findall(r"\./dev ([a-z-]+)", text(page)):
            if command not in known:
                problems.append(f"{page}: ./dev has no command {command}")
    report(problems)


def test_every_command_of_dev_is_in_its_help():
    script = text("dev")
    page = script[script.index("<<'TEXT'") : script.index("\nTEXT\n")]
    for name in set(re.findall(r"(?m)^cmd_([\w-]+)\(\)", script)) - {"help"}:
        assert re.search(rf"(?m)^  {name}\b", page), f"./dev help does not describe {name}"


def test_flags_of_whit_compile_exist():
    options = text("lib/Driver/Options.cpp")
    problems = []
    for page in PAGES:
        for command in re.findall(r"whit-compile [^\n`]*", text(page)):
            for flag in re.findall(r"--([a-z-]+)", command.split("#")[0]):
                if f'"--{flag}' not in options and f",--{flag}" not in options:
                    problems.append(f"{page}: whit-compile has no flag --{flag}")
    report(problems)
