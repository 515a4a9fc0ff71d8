"""`tixxety secrets`: random secrets for compose.yml. Only the standard library: it needs no environment."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from tixxety.errors import FileUnwritable
from tixxety.terminal.atomic_files import written_whole
from tixxety.terminal.say import say

SECRETS = ("POSTGRES_PASSWORD", "DATABASE_PASSWORD", "WORKER_DATABASE_PASSWORD", "JWT_SECRET", "PGADMIN_PASSWORD")


def main(arguments: Sequence[str]) -> int:
    """Print new secrets for compose.yml, or write them to a file that only its owner may read.

    Returns the exit code.
    """
    asked = parser().parse_args(arguments)
    text = "".join(f"{name}={secrets.token_urlsafe(32)}\n" for name in SECRETS)
    if asked.to is None:
        sys.stdout.write(text)
        return 0
    try:
        write(asked.to, text, overwrite=asked.overwrite)
    except FileUnwritable as no:
        say(str(no))
        return 2
    return 0


def write(path: Path, text: str, *, overwrite: bool) -> None:
    """Write the file, which only its owner may read. Raises FileUnwritable, also for one that is there already."""
    if path.exists() and not overwrite:
        raise FileUnwritable(
            f"{path} is there already, and a database keeps the passwords it was made with: "
            "give --overwrite to replace them."
        )
    with written_whole(path, private=True) as file:
        file.write(text.encode())


def parser() -> argparse.ArgumentParser:
    """What may be asked for."""
    description = (main.__doc__ or "").partition("\n")[0]
    asking = argparse.ArgumentParser(prog="tixxety secrets", description=description)
    asking.add_argument("--to", metavar="FILE", type=Path, help="Where to, such as .env; by default standard output.")
    asking.add_argument("--overwrite", action="store_true", help="Replace a file that is there.")
    return asking
