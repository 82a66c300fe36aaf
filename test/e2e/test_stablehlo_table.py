# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""docs/stablehlo-operations.md says what is so: each operation is imported and tested, or refused with the reason that stands there."""
import re

import stablehlo_table as written


def test_the_table_is_up_to_date():
    assert written.TABLE.read_text() == written.table(), "python test/e2e/stablehlo_table.py writes docs/stablehlo-operations.md"


def test_each_operation_is_imported_or_refused():
    known, why = written.imported(), written.refused()
    assert not known & set(why)
    names = {f"stablehlo.{name}" for name in written.SPECIFICATION}
    assert names <= known | set(why)
    assert {name for name in known | set(why) if name.startswith("stablehlo.")} <= names


def test_each_operation_that_is_imported_has_a_case():
    texts = [text for legal, _ in written.cases().values() for text in legal]
    missing = [name for name in sorted(written.imported() - set(written.STRUCTURE)) if not any(written.uses(text, name) for text in texts)]
    assert not missing


def test_what_is_refused_is_refused_for_its_reason(tools, tmp_path):
    why = written.refused()
    lines = "\n".join(f'  "{name}"() : () -> ()' for name in why)
    (tmp_path / "all.mlir").write_text(f"func.func @main() {{\n{lines}\n  return\n}}\n")
    done = tools.call("whit-compile", tmp_path / "all.mlir", "-o", tmp_path / "all.so")
    found = dict(re.findall(r"error\[E3001\]: operation '([^']+)' is not supported: (.*)", done.err))
    assert done.code == 3 and found == why
    assert done.err.count("help: ") == len(why)
