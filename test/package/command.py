# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One command of a test."""
import subprocess


def run(*command, code: int = 0, **more) -> str:
    """What a command prints; it must end with `code`."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    assert done.returncode == code, f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stdout[-5000:]}"
    return done.stdout
