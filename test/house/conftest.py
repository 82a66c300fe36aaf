# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes `tree` importable from each test of this folder."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
