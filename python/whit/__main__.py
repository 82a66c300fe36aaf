# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m whit`: convert, compile, run, chat and the demo. `compile`, `run`, `check` and `opt` are the tools of these
names with all their flags."""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .chat import SYSTEM
from .errors import run_main


def _convert(o) -> None:
    from .convert_gguf import convert
    from .demo import megabytes
    from .progress import Stage

    output = o.output or o.model.with_suffix(".onnx")
    with Stage("convert") as stage:
        convert(o.model, output, lambda done, total: stage.update(done, total))
        stage.note = f"{output}, {megabytes(output, output.with_name(output.name + '.data'))}"


def _chat(o) -> None:
    from .chat import chat

    chat(o.artifact, o.tokenizer, o.system, o.prompt, o.limit, o.threads, o.trust)


def _demo(o) -> None:
    from .demo import demo

    demo(o.folder, o.question, o.threads, o.target, {"activations": o.activations} if o.activations else {})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whit", description="Compile models with low-bit weights for this machine, and run them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("compile", help="whit-compile: an ONNX model to an artifact", add_help=False)
    commands.add_parser("run", help="whit-run: run, time or inspect an artifact", add_help=False)
    commands.add_parser("check", help="whit-check: what a model ought to compute, and whether compiled code does", add_help=False)
    commands.add_parser("opt", help="whit-opt: single passes on a text file", add_help=False)

    p = commands.add_parser("convert", help="write a GGUF language model as ONNX, codes and scales exact")
    p.add_argument("model", type=Path, help="GGUF file of a Llama model with Q4_0, Q4_1 and Q8_0 blocks")
    p.add_argument("-o", "--output", type=Path, help="ONNX file; its data and tokenizer go beside it (default: the model's name)")
    p.set_defaults(call=_convert)

    p = commands.add_parser("chat", help="talk with a compiled language model")
    p.add_argument("artifact", type=Path)
    p.add_argument("--tokenizer", type=Path, help="tokenizer.json, its folder, or a GGUF file (default: beside the artifact)")
    p.add_argument("--system", default=SYSTEM, help="the system message; '' for that of the model's template (default: %(default)s)")
    p.add_argument("--prompt", help="ask this and end")
    p.add_argument("--limit", type=int, default=512, metavar="N", help="most tokens of one answer (default: %(default)s)")
    p.add_argument("--threads", type=int, default=0, metavar="N", help="0: one for each core (default)")
    p.add_argument("--trust", action="store_true", help="run an artifact that this user has not compiled")
    p.set_defaults(call=_chat)

    p = commands.add_parser("demo", help="fetch a small language model, compile it and ask it a question")
    p.add_argument("--folder", type=Path, help="where everything is kept (default: whit/smollm2 in the user's cache)")
    p.add_argument("--question", default="What is the capital of France?")
    p.add_argument("--target", default="host", help="CPU to compile for (default: this one)")
    p.add_argument("--activations", choices=("auto", "f32", "bf16", "int8", "int8_token", "int4", "int4_token", "fp8_token"))
    p.add_argument("--threads", type=int, default=0, metavar="N")
    p.set_defaults(call=_demo)
    return parser


def main(arguments: list[str]) -> None:
    if arguments[:1] and arguments[0] in ("compile", "run", "check", "opt"):
        from .compiler import find_tool

        tool = find_tool(f"whit-{arguments[0]}")
        sys.stdout.flush()
        os.execv(tool, [str(tool), *arguments[1:]])
    options = _parser().parse_args(arguments)
    options.call(options)


def entry() -> None:
    """The command `whit` of an installed package."""
    sys.exit(run_main("whit", lambda: main(sys.argv[1:])))


if __name__ == "__main__":
    entry()
