"""Opens an export of whatever format, told by its first bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from auditing.export.ndjson_reader import FileBroken, NdjsonFile
from auditing.export.records import Record
from auditing.findings import Findings

PARQUET_MAGIC, NDJSON_MAGIC = b"PAR1", b"{"


class ExportFile(Protocol):
    """Some format."""

    @property
    def digest(self) -> str:
        """The SHA-256 of what was read before the last record, in hexadecimal."""

    def records(self) -> Iterator[list[Record]]:
        """All records, part by part. Raises `FileBroken`."""


@contextmanager
def opened(path: Path, findings: Findings | None = None) -> Iterator[ExportFile]:
    """The export in a file; what its format repeats and tells differently is a finding. Raises `FileBroken`."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(PARQUET_MAGIC))
            file.seek(0)
            yield _in_format(file, path, magic, findings)
    except OSError as error:
        raise FileBroken(f"{path} cannot be read: {error.strerror or error}.") from error


def _in_format(file: BinaryIO, path: Path, magic: bytes, findings: Findings | None) -> ExportFile:
    if magic == PARQUET_MAGIC:
        from auditing.export.parquet_reader import ParquetFile  # a large library, and only needed here

        return ParquetFile(file, path, findings)
    if magic.startswith(NDJSON_MAGIC):
        return NdjsonFile(file, path)
    raise FileBroken(f"{path} is {'something else than an export' if magic else 'empty'}.")
