# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What can go wrong, one class for each exit code of the tools, so that a caller can tell them apart.

`run_main` turns them into the message and the exit status that every Whit tool uses.
"""
from __future__ import annotations

import sys
from typing import Callable, Sequence


class WhitError(Exception):
    """Base of all errors raised by this package; `exit_code` is what a command line tool returns for it."""

    exit_code = 70


class InvalidInputError(WhitError, ValueError):
    """A model, an array or a file is not what it should be."""

    exit_code = 1


class UsageError(WhitError):
    """A command line or an argument of this package is wrong."""

    exit_code = 2


class UnsupportedError(WhitError):
    """The input is valid but cannot be handled; `reasons` has every one found, not only the first, `codes` what kind each is (E3001 ...)
    and `nodes` the nodes' names."""

    exit_code = 3

    def __init__(self, message: str, reasons: Sequence[str] = (), nodes: Sequence[str] = (), codes: Sequence[str] = ()):
        super().__init__("\n  ".join([message, *reasons]))
        self.reasons, self.nodes, self.codes = list(reasons), list(nodes), list(codes)


class FileError(WhitError, OSError):
    """Something cannot be read or written."""

    exit_code = 4


class LimitError(WhitError, MemoryError):
    """A limit was passed, a capacity is too small, or memory ran out."""

    exit_code = 5


class ArtifactRefusedError(WhitError):
    """An artifact is damaged or not trusted."""

    exit_code = 6


class DeviceError(WhitError):
    """A device or its driver failed."""

    exit_code = 7


class ExpectationError(WhitError):
    """A comparison with expected values failed."""

    exit_code = 8


class InternalError(WhitError):
    """A bug in Whit."""


BY_EXIT_CODE = {cls.exit_code: cls for cls in (InvalidInputError, UsageError, UnsupportedError, FileError, LimitError,
                                               ArtifactRefusedError, DeviceError, ExpectationError, InternalError)}


def error_of(exit_code: int, message: str) -> WhitError:
    """The exception for a status that a tool or the runtime returned."""
    return BY_EXIT_CODE.get(exit_code, InternalError)(message)


def run_main(name: str, main: Callable[[], None]) -> int:
    """Call `main`; report what it raises as `name: error: ...` on stderr and return the exit status."""
    try:
        main()
    except WhitError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{name}: error: {error.filename or 'file'}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return FileError.exit_code
    except ModuleNotFoundError as error:
        print(f"{name}: error: python package '{error.name}' is not installed; get it with: pip install {error.name}", file=sys.stderr)
        return FileError.exit_code
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return 0
