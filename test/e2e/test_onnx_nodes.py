# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ONNX node tests give what onnx_nodes.json says: a change in either direction is seen.

WHIT_LONG=1 runs all of them instead of each third and those of the newest operators (`python test/e2e/onnx_nodes.py --write` after a
change that is meant).
"""
import json
import os
import re
import time

import numpy as np
import onnx
import pytest

import onnx_nodes
from ledger import record
from real import need_build

ALWAYS = re.compile("attention|rms_norm|rotary|softmax|gelu|matmul|gemm|trilu|quantizelinear")


def chosen(expected):
    if os.environ.get("WHIT_LONG"):
        return list(expected)
    return [name for i, name in enumerate(sorted(expected)) if i % 10 == 0 or (ALWAYS.search(name) and i % 3 == 0 and "expanded" not in name)]


@pytest.fixture(scope="module", autouse=True)
def built(tools):
    """The trust store and caches of the user are left alone."""
    need_build()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, tools.environment[name])
        yield


def test_node_tests_give_what_is_expected():
    expected, cases = json.loads(onnx_nodes.EXPECTED.read_text()), onnx_nodes.cases()
    names, start = chosen(expected), time.monotonic()
    assert len(names) > 150 and set(expected) == set(cases)
    differing = {name: (found, expected[name]) for name in names if (found := onnx_nodes.outcome(cases[name])) != expected[name]}
    if os.environ.get("WHIT_LONG"):
        record("node tests of ONNX", time.monotonic() - start, f"{len(names):,} tests", len(differing))
    assert not differing, "\n".join(f"{name}: {found}; expected: {wanted}" for name, (found, wanted) in differing.items())


def test_most_of_them_pass_and_none_is_a_crash():
    expected = json.loads(onnx_nodes.EXPECTED.read_text())
    assert sum(result == "pass" for result in expected.values()) > 0.92 * len(expected)
    assert not [name for name, result in expected.items() if not result.startswith(("pass", "UnsupportedError: E3", "differs: other"))]
    assert sum(result.startswith("differs") for result in expected.values()) <= 3  # noise of the suite's own sums in half precision


def test_the_table_of_operators_is_up_to_date():
    wanted = onnx_nodes.table(json.loads(onnx_nodes.EXPECTED.read_text()), onnx_nodes.cases())
    assert onnx_nodes.TABLE.read_text() == wanted, "python test/e2e/onnx_nodes.py --table writes docs/onnx-operators.md"


def test_a_wrong_result_is_seen():
    case = onnx_nodes.cases()["test_add"]
    case.data_sets[0][1][0] = case.data_sets[0][1][0] + 1
    assert onnx_nodes.outcome(case) == "differs: other numbers"


def test_the_backend_runs_models_and_nodes():
    from whit import backend

    x, y = np.array([1, 2], np.float32), np.array([3, 4], np.float32)
    node = onnx.helper.make_node("Add", ["x", "y"], ["z"])
    assert backend.run_node(node, [x, y]).z.tolist() == [4, 6]
    assert backend.run_node(node, [x, y], outputs_info=[(np.float32, [2])])[0].tolist() == [4, 6]
    assert backend.supports_device("CPU") and not backend.supports_device("CUDA")
    bad = onnx.helper.make_node("NonMaxSuppression", ["x", "y"], ["z"])
    model = onnx.helper.make_model(onnx.helper.make_graph(
        [bad], "g", [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, 1]) for name in "xy"],
        [onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)]))
    assert not backend.is_compatible(model)
    with pytest.raises(ValueError, match="3 inputs are given; the model has 2"):
        rep = backend.prepare(onnx.helper.make_model(onnx.helper.make_graph(
            [node], "g", [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in "xy"],
            [onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [2])])))
        rep.run([x, y, x])
