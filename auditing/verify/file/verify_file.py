"""Where verifying a file begins: the form, seals, order and streams of an export, on a machine without its database."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from auditing.export.ndjson_reader import NdjsonFile, opened
from auditing.export.records import DomainEventRecord, End, Head, PublicKey, Record, SealRecord
from auditing.findings import REPORTED_FINDINGS, Findings, Report, Rule, place_of
from auditing.verify.checks.history_pass import HistoryPass
from auditing.verify.checks.kept_seal import KeptSeal, KeptSealCheck
from auditing.verify.checks.seal_pass import SealPass
from auditing.verify.errors import NoRoom, SealElsewhere
from auditing.verify.file.file_streams_check import verify_streams_of_file
from auditing.verify.file.stream_sorter import PricesTold, prices_told
from auditing.verify.stream_process import stream_process
from eventstore.reading import StoredRow
from eventstore.seals.seal_keys import Jwk, thumbprint
from eventstore.seals.seals import SealInvalid, key_id_of
from projections.progress_callback import ProgressCallback, no_progress
from projections.tables.audit_trail import RESERVATION_TOPICS

# Smaller files are not worth a second process.
APART_FROM_BYTES = 20_000_000


def verify_file(path: Path, *, kept: KeptSeal | None = None, on_progress: ProgressCallback = no_progress) -> Report:
    """Read an export and say which rules are broken. `on_progress` gets how far it is, and of how much, in positions.

    Memory is bounded by the largest event; the disk takes as much as the export for a while. Raises `FileBroken`, and
    `NoRoom` where the temporary folder can't take that.
    """
    findings = Findings()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        file = stack.enter_context(opened(path))
        one = FileVerification(findings, stack.enter_context(prices_told(folder)), kept)
        if path.stat().st_size < APART_FROM_BYTES:
            _verify_history(file, one, lambda: on_progress(one.position // 2, one.total), path)
            verify_streams_of_file(findings, lambda rows: on_progress(one.done(rows), one.total), path, folder)
        else:
            process = stack.enter_context(stream_process(verify_streams_of_file, path, folder))

            def tell() -> None:
                process.look()
                on_progress(one.done(process.rows), one.total)

            _verify_history(file, one, tell, path)
            process.wait(tell, findings)
        if one.keys_to_compare and not findings.count:
            told = f"compare the key {', '.join(one.keys_to_compare)} with what is published"
            raise SealElsewhere(f"The kept seal does not prove all of {path}: {told}.")
        return one.report()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for as long as the block lasts. Raises `NoRoom` where none can be made."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="tixxety-verify-")
    except OSError as error:
        raise NoRoom(tempfile.tempdir or "The temporary folder", error) from error
    with folder as name:
        yield Path(name)


def _verify_history(file: NdjsonFile, one: "FileVerification", on_progress: Callable[[], None], path: Path) -> None:
    """All but the streams. Raises `FileBroken`."""
    for records in file.records():
        one.take(records)
        on_progress()
    one.end(file.digest)
    if not one.knows_kept:
        raise SealElsewhere(f"{path} has no seal by which the kept one could be judged: it says nothing about it.")


class FileVerification:
    """Takes the records of an export in order, and judges all but the streams."""

    def __init__(self, findings: Findings, prices: PricesTold, kept: KeptSeal | None) -> None:
        self.position = 0
        self.rows = 0
        self._findings = findings
        self._prices = prices
        self._kept = KeptSealCheck(findings, kept) if kept else None
        self._keys: dict[str, Jwk] = {}
        self._seal_count = 0
        self._after_seal = 0
        self._signed_by: set[str] = set()
        self._has_event = False

    @property
    def total(self) -> int:
        """How far the positions go."""
        return self._head.head

    def done(self, in_streams: int) -> int:
        """How far it is with so many rows judged in their streams."""
        return (self.position + self.position * min(in_streams, self.rows) // max(1, self.rows)) // 2

    @property
    def knows_kept(self) -> bool:
        """Whether the kept seal could be held against one of the file's."""
        return self._kept is None or self._kept.is_known

    @property
    def keys_to_compare(self) -> list[str]:
        """The keys of seals that the kept one does not prove."""
        return self._kept.keys_to_compare if self._kept else []

    def take(self, records: list[Record]) -> None:
        """The next records, in the order of the format."""
        rows: list[StoredRow] = []
        for record in records:
            if isinstance(record, DomainEventRecord):
                rows.append(record.as_row())
                continue
            self._feed(rows)
            rows = []
            match record:
                case Head():
                    self._begin(record)
                case PublicKey():
                    self._learn_key(record)
                case SealRecord():
                    self._close(record)
                case End():
                    self._end = record
        self._feed(rows)

    def end(self, digest: str) -> None:
        """There are no more records, and this is the SHA-256 of them."""
        self._history.end()
        self._seals.end()
        end, head = self._end, self._head
        if end.sha256 != digest:
            self._tell("The file is not what was written: its SHA-256 is another.")
        if (end.domain_events, end.seals) != (self.rows, self._seal_count):
            written = f"{end.domain_events} domain events and {end.seals} seals"
            self._tell(f"The file was written with {written}; it has {self.rows} and {self._seal_count}.")
        is_everything = head.scope == "everything"
        if self.position > head.head or (is_everything and self.position < head.head):
            self._tell(f"The file ends at position {self.position}; the history ended at {head.head}.")
        if not is_everything and not self._has_event:
            self._tell(f"The file has nothing of the event {head.event_id}.")
        if is_everything and self._kept is not None:
            self._kept.end()

    def report(self) -> Report:
        """What was found, by this machine's clock."""
        newest = self._seals.newest
        return Report(
            ok=self._findings.count == 0,
            verified_at=datetime.now(UTC),
            head=self._head.head,
            domain_events=self.rows,
            since_seal=None,
            newest_seal=newest.number if newest else None,
            sealed_through=self._seals.sealed_through,
            unsealed=self._after_seal,
            signed_by=sorted(self._signed_by),
            findings_count=self._findings.count,
            findings=self._findings.kept[:REPORTED_FINDINGS],
        )

    def _begin(self, head: Head) -> None:
        self._head = head
        is_everything = head.scope == "everything"
        self._history = HistoryPass(self._findings, gapless=is_everything)
        self._seals = SealPass(self._findings, self._keys, gapless=is_everything)

    def _learn_key(self, key: PublicKey) -> None:
        jwk = key.as_jwk()
        if thumbprint(jwk) != key.kid:
            self._findings.add(None, Rule.SEAL_INVALID, f"key {key.kid}", "The key is published under another's name.")
        self._keys[key.kid] = jwk

    def _feed(self, rows: list[StoredRow]) -> None:
        if not rows:
            return
        self.rows += len(rows)
        self._after_seal += len(rows)
        self.position = rows[-1].position
        self._seals.feed(rows)
        self._prices.add(rows)
        self._history.feed(rows)
        if unknown := self._history.unknown_events():
            self._history.learn(self._prices.of(unknown))
        if self._head.event_id is not None:
            self._expect_event(rows)

    def _expect_event(self, rows: list[StoredRow]) -> None:
        """What is of an event's stream has to be of the one that was exported; reservations tell theirs themselves."""
        for row in rows:
            if row.stream_id == self._head.event_id:
                self._has_event = True
            elif row.topic not in RESERVATION_TOPICS:
                place = place_of(row.stream_id, row.version)
                self._findings.add(row.position, Rule.FILE_ALTERED, place, "It is not about the event of this file.")

    def _close(self, seal: SealRecord) -> None:
        self._seal_count += 1
        self._after_seal = 0
        # Of everything nothing is missing, whatever the file says.
        claims = self._seals.learn(seal.as_seal(), (self._head.scope == "event" and seal.missing) or ())
        with suppress(SealInvalid):
            self._signed_by.add(key_id_of(seal.jws))
        if self._kept is not None:
            self._kept.pass_by(seal.number, seal.jws, claims)

    def _tell(self, sentence: str) -> None:
        self._findings.add(None, Rule.FILE_ALTERED, "file", sentence)
