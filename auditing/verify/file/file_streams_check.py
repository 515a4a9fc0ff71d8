"""The streams of an export, put in their order on disk and judged one after the other."""

from collections.abc import Callable
from pathlib import Path

from auditing.export.ndjson_reader import opened
from auditing.export.records import DomainEventRecord
from auditing.findings import Findings
from auditing.verify.checks.stream_pass import StreamPass
from auditing.verify.file.stream_sorter import stream_sorter


def verify_streams_of_file(findings: Findings, on_progress: Callable[[int], None], path: Path, folder: Path) -> None:
    """Judge every stream; `on_progress` gets the domain events done: half of each is done once it is sorted in.

    The folder is for what is sorted, which takes as much as the export. Raises `FileBroken`.
    """
    with opened(path) as file, stream_sorter(folder) as sorter:
        count = 0
        for records in file.records():
            rows = [record.as_row() for record in records if isinstance(record, DomainEventRecord)]
            sorter.add(rows)
            count += len(rows)
            on_progress(count // 2)
        streams = StreamPass(findings)
        for rows in sorter.by_stream():
            streams.feed(rows)
            on_progress((count + streams.rows) // 2)
        streams.end()
