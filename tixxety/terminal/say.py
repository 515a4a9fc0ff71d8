"""What is said to the person at the terminal, on standard error: standard output belongs to the command."""

from __future__ import annotations

import contextlib
import sys


def say(text: str) -> None:
    """Tell the person at the terminal, if there still is one."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"tixxety: {text}\n")
        sys.stderr.flush()
