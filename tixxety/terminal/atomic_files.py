"""Files that are written whole or not at all: a draft beside them takes their name once it is complete."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tixxety.errors import FileUnwritable

OWNERS_ALONE = 0o600
# What the umask leaves of it.
OPEN_TO_ALL = 0o666


@contextmanager
def written_whole(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which is at `path` and on the disk after the block, unless that raises.

    It may be read by whom the file it replaces could be read by, or only by its owner where it is `private`.
    What is no file but can be written to, such as a pipe, is written to as it stands. Raises FileUnwritable.
    """
    try:
        place = path.resolve()
        if place.is_dir():
            raise FileUnwritable(f"{path} is a folder: name a file in it.")
        if not place.parent.is_dir():
            raise FileUnwritable(f"There is no folder {path.parent} to write {path.name} to.")
        if place.exists() and not place.is_file():
            with place.open("wb") as stream:
                yield cast(BinaryIO, stream)
            return
        draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}.draft")
        try:
            with os.fdopen(new_file(draft, place, private=private), "wb") as file:
                yield cast(BinaryIO, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
            sync_folder(place.parent)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise FileUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error


def new_file(draft: Path, place: Path, *, private: bool) -> int:
    """A descriptor of the draft, which from its first byte on is no more open than what is to stand at the place."""
    before = stat.S_IMODE(place.stat().st_mode) if place.exists() and not private else None
    closed = private or before is not None
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS_ALONE if closed else OPEN_TO_ALL)
    if before is not None:
        os.fchmod(descriptor, before)
    return descriptor


def sync_folder(folder: Path) -> None:
    """Have the disk know which files are in a folder, and under which names."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
