# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whit compiles models with low-bit weights into code for this machine, and runs them."""
