# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random graphs: the compiled code and the interpreter beside ONNX Runtime. WHIT_LONG=1 draws WHIT_GRAPHS (10,000) others, from a seed
that is printed."""
import os
import time

import pytest

import random_graphs
from ledger import record
from real import need_build

FEW = 108  # in CI


@pytest.fixture(autouse=True)
def trusted(tools):
    """The trust store and caches of the user are left alone."""
    need_build()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, tools.environment[name])
        yield


def test_random_graphs():
    long, start = bool(os.environ.get("WHIT_LONG")), time.monotonic()
    first, count = (int(time.time()) % 10**6 * 1000, int(os.environ.get("WHIT_GRAPHS", 10_000))) if long else (1, FEW)
    print(f"seeds from {first}")
    wrong = random_graphs.check(first, count)
    if long:
        record("random graphs beside ONNX Runtime", time.monotonic() - start, f"{count:,} graphs from seed {first}", len(wrong))
    assert not wrong, "\n".join(wrong)


def test_a_wrong_result_is_found_and_made_smaller(monkeypatch, tmp_path):
    """The harness sees an operator that means something else, and leaves little besides it."""
    real = random_graphs.run

    def faulty(tool, path, *arguments):
        if tool == "whit-compile":
            model = random_graphs.onnx.load(path)
            for node in model.graph.node:
                node.op_type = "Abs" if node.op_type == "Relu" else node.op_type
            random_graphs.onnx.save(model, path.with_name("faulty.onnx"))
            path = path.with_name("faulty.onnx")
        return real(tool, path, *arguments)

    monkeypatch.setattr(random_graphs, "run", faulty)
    candidates = (g for g in map(lambda seed: random_graphs.Maker(seed).make(), range(1, 500))
                  if g.exact and len(g.nodes) > 4 and any(n.op_type == "Relu" for n in g.nodes))
    graph = next(g for g in candidates if random_graphs.problems([g], tmp_path))  # a negative number reaches the Relu
    less = random_graphs.smaller(graph, tmp_path)
    assert len(less.nodes) < len(graph.nodes) and any(n.op_type == "Relu" for n in less.nodes)
