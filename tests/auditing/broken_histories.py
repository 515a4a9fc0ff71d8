"""Histories written by a clerk who keeps no rule, and what verification says of them."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from auditing.findings import Finding, Findings, Rule
from auditing.verify.checks.history_pass import HistoryPass
from auditing.verify.checks.stream_pass import StreamPass
from domain.domain_event import DomainEvent
from eventstore.codec import encode
from eventstore.reading import StoredRow

Facts = Sequence[DomainEvent]


def numbered(*commands: Facts) -> list[Facts]:
    """The commands with each domain event next in its stream."""
    versions: Counter[UUID] = Counter()
    recorded = []
    for command in commands:
        versions_of_command = []
        for it in command:
            versions[it.originator_id] += 1
            versions_of_command.append(replace(it, originator_version=versions[it.originator_id]))
        recorded.append(versions_of_command)
    return recorded


def stored(*commands: Facts) -> list[StoredRow]:
    """The rows of a history of these commands, from position 1 on."""
    rows: list[StoredRow] = []
    for command in numbered(*commands):
        end = len(rows) + len(command)
        for it in command:
            row = StoredRow(len(rows) + 1, end, it.originator_id, it.originator_version, it.TOPIC, encode(it))
            rows.append(row)
    return rows


def found_in(rows: Sequence[StoredRow], part: int = 3) -> list[Finding]:
    """What both passes find in these rows, fed in parts of a few."""
    findings = Findings()
    in_order, by_stream = HistoryPass(findings), StreamPass(findings)
    rows_by_stream = sorted(rows, key=lambda row: (row.stream_id, row.version))
    for start in range(0, len(rows), part):
        in_order.feed(rows[start : start + part])
        in_order.learn(())
        by_stream.feed(rows_by_stream[start : start + part])
    in_order.end()
    by_stream.end()
    assert findings.count == len(findings.kept)
    return findings.kept


def rules_broken(rows: Sequence[StoredRow]) -> set[tuple[int | None, Rule]]:
    """The same as positions and rules."""
    return {(finding.position, finding.rule) for finding in found_in(rows)}
