"""Reads an export as NDJSON, a part at a time: every line is a record, in the order of the format."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from auditing.export.errors import FileBroken
from auditing.export.records import (
    FORMAT_VERSION,
    DomainEventRecord,
    End,
    Head,
    PublicKey,
    Record,
    SealRecord,
    lines,
    record,
)

PART_LINES = 2_048
# Far longer than any that we write; what has none such is no export.
LINE_BYTES = 16_000_000
NDJSON_MAGIC, PARQUET_MAGIC = b"{", b"PAR1"

FOLLOWERS: dict[type[Record] | None, tuple[type[Record], ...]] = {
    None: (Head,),
    Head: (PublicKey, DomainEventRecord, SealRecord, End),
    PublicKey: (PublicKey, DomainEventRecord, SealRecord, End),
    DomainEventRecord: (DomainEventRecord, SealRecord, End),
    SealRecord: (DomainEventRecord, SealRecord, End),
    End: (),
}


@contextmanager
def opened(path: Path) -> Iterator["NdjsonFile"]:
    """The export in a file. The block raises `FileBroken` for what can't be read, or is no export as NDJSON."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(PARQUET_MAGIC))
            file.seek(0)
            if begins == PARQUET_MAGIC:
                raise FileBroken(f"{path} is Parquet, which is for analysis: only an export as NDJSON proves itself.")
            if not begins.startswith(NDJSON_MAGIC):
                raise FileBroken(f"{path} is {'something else than an export' if begins else 'empty'}.")
            yield NdjsonFile(file, path)
    except OSError as error:
        raise FileBroken(f"{path} cannot be read: {error.strerror or error}.") from error


class NdjsonFile:
    """An export; `name` is for people. `digest` is the SHA-256 of what was read before the last record."""

    def __init__(self, file: BinaryIO, name: Path) -> None:
        self._file = file
        self._name = name
        self._digest = sha256()
        self._number = 0
        self._before: type[Record] | None = None

    @property
    def digest(self) -> str:
        """In hexadecimal."""
        return self._digest.hexdigest()

    def records(self) -> Iterator[list[Record]]:
        """All records, part by part. Raises `FileBroken` at the first line that is none, or is not to be there."""
        while part := self._part():
            records = [self._record(line) for line in part]
            self._digest.update(b"".join(part[:-1] if self._before is End else part))
            yield records
        if self._before is not End:
            raise FileBroken(f"{self._name} was cut: it ends after line {self._number:,}, without its last record.")

    def _part(self) -> list[bytes]:
        return list(islice(iter(partial(self._file.readline, LINE_BYTES), b""), PART_LINES))

    def _record(self, line: bytes) -> Record:
        self._number += 1
        if not line.endswith(b"\n"):
            if len(line) == LINE_BYTES:
                raise FileBroken(self._sentence("is longer than any record."))
            raise FileBroken(f"{self._name} was cut in the middle of line {self._number:,}.")
        try:
            read = record(line)
        except msgspec.ValidationError as error:
            raise FileBroken(self._sentence(f"is no record of an export: {error}.")) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FileBroken(self._sentence("is no JSON.")) from error
        kind = type(read)
        if kind not in FOLLOWERS[self._before]:
            raise FileBroken(self._sentence(f"may not be {_named(kind)} there."))
        if isinstance(read, Head) and read.format_version != FORMAT_VERSION:
            known = f"this program reads {FORMAT_VERSION}"
            raise FileBroken(f"{self._name} has the format {read.format_version}; {known}.")
        # Its own bytes are in no digest.
        if isinstance(read, End) and line != lines([read]):
            raise FileBroken(self._sentence("is not as it was written."))
        self._before = kind
        return read

    def _sentence(self, what: str) -> str:
        return f"Line {self._number:,} of {self._name} {what}"


def _named(kind: type[Record]) -> str:
    return f"of the kind {kind.__struct_config__.tag}"
