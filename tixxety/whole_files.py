"""Files that are written whole or not at all: a draft beside them takes their name once it is complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tixxety.failures import Failure


class FileUnwritable(Failure):
    """The file cannot be written."""


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which is at `path` and on the disk after the block, unless that raises.

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
            with draft.open("xb") as file:
                yield cast(BinaryIO, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise FileUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error
