"""An export proves itself without the database: what is whole is found well, and whatever was done to it is named."""

import json
import random
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from auditing.export.errors import FileBroken
from auditing.export.records import End, Head, PublicKey, SealRecord, domain_event_record, lines
from auditing.findings import Report, Rule
from auditing.verify.checks.kept_seal import KeptSeal, newest, read
from auditing.verify.errors import NoRoom, SealElsewhere
from auditing.verify.file import stream_sorter
from auditing.verify.file import verify_file as verify_file_module
from auditing.verify.file.verify_file import APART_FROM_BYTES, verify_file
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import StoredRow
from eventstore.seals import seal_keys, seals
from tests.auditing.broken_histories import rules_broken, stored
from tests.auditing.sealed_histories import as_cloud_events, as_ndjson, sealed_history
from tests.auditing.verify.test_rules import BROKEN_RULES
from tests.campaigns.export_tampering import exports, one_round
from tests.domain.builders import CONCERT, NOON, created
from tests.domain.purchase import ANNS
from tests.projections.histories import BoxOffice, append

ROUNDS = 20

Verify = Callable[..., Report]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """Verifies what is in a file of these bytes."""

    def verified(content: bytes, kept: KeptSeal | None = None) -> Report:
        path = tmp_path / "export"
        path.write_bytes(content)
        return verify_file(path, kept=kept)

    return verified


def with_end(records: bytes) -> bytes:
    """Lines with an end that is right."""
    kinds = [json.loads(line.decode(errors="replace"))["kind"] for line in records.splitlines()]
    return records + lines([End(kinds.count("domain-event"), kinds.count("seal"), sha256(records).hexdigest())])


def without_end(exported: bytes) -> bytes:
    return b"".join(exported.splitlines(keepends=True)[:-1])


def written(rows: list[StoredRow], event_id: UUID | None = None) -> bytes:
    """An export of rows that nobody has sealed."""
    head = Head(1, "event" if event_id else "everything", event_id, rows[-1].position, NOON)
    return with_end(lines([head, *map(domain_event_record, rows)]))


@pytest.mark.parametrize("seed", [1, 2])
async def test_an_export_of_everything_is_well(
    connection: Connection, database_url: str, verify: Verify, seed: int
) -> None:
    await sealed_history(connection, seed)
    newest_seal = await seals.newest(connection)
    assert newest_seal
    head = await reading.head(connection)
    report = verify(await as_ndjson(database_url))
    assert (report.ok, report.findings, report.head, report.domain_events) == (True, [], head, head)
    assert (report.newest_seal, report.sealed_through) == (newest_seal.number, newest_seal.last_position)
    assert report.unsealed == head - newest_seal.last_position
    assert report.signed_by == [key["kid"] for key in await seal_keys.published(connection)]


@pytest.mark.parametrize("seed", [3, 4])
async def test_an_export_of_any_one_event_is_well(
    connection: Connection, database_url: str, verify: Verify, seed: int
) -> None:
    box_office = await sealed_history(connection, seed)
    for event_id in box_office.events:
        report = verify(await as_ndjson(database_url, event_id))
        assert (report.ok, report.findings) == (True, [])
        assert 0 < report.domain_events < report.head


async def test_an_empty_history_is_well(database_url: str, verify: Verify) -> None:
    assert verify(await as_ndjson(database_url)).ok


def test_a_rule_that_is_broken_is_named_as_in_the_database(verify: Verify) -> None:
    for name, (commands, broken) in BROKEN_RULES.items():
        found = verify(written(stored(*commands))).findings
        assert {(finding.position, finding.rule) for finding in found} == broken, name
        assert broken == rules_broken(stored(*commands))


def test_text_that_is_no_utf_8_is_named(verify: Verify) -> None:
    exported = written(stored([created()], ANNS.reserved()))
    head, first, *others, _ = exported.splitlines(keepends=True)
    damaged = first.replace(b'"title":"', b'"title":"\xe5')
    found = verify(with_end(b"".join([head, damaged, *others]))).findings
    assert (1, Rule.UNREADABLE) in {(finding.position, finding.rule) for finding in found}


async def test_a_sealed_domain_event_that_was_altered_is_named(
    connection: Connection, database_url: str, verify: Verify
) -> None:
    box_office = await sealed_history(connection, seed=5)
    of_events = [await as_ndjson(database_url, event_id) for event_id in box_office.events]
    of_one = next(one for one in of_events if b'"type":"TicketsHeld"' in one)
    for exported in (await as_ndjson(database_url), of_one):
        told = exported.splitlines(keepends=True)
        number = next(n for n, line in enumerate(told) if b'"type":"TicketsHeld"' in line)
        told[number] = told[number].replace(b'"quantity":', b'"quantity":1')
        (first, *_) = verify(with_end(b"".join(told[:-1]))).findings
        assert (first.position, first.rule) == (json.loads(told[number])["position"], Rule.SEAL_BROKEN)
        assert "was altered" in first.sentence


@pytest.mark.parametrize("of_event", [False, True])
async def test_a_seal_by_a_key_that_the_file_does_not_have_is_named(
    connection: Connection, database_url: str, verify: Verify, of_event: bool
) -> None:
    box_office = await sealed_history(connection, seed=6, commands=40)
    exported = await as_ndjson(database_url, box_office.events[0] if of_event else None)
    head, _key, *rest = without_end(exported).splitlines(keepends=True)
    report = verify(with_end(head + b"".join(rest)))
    assert {finding.rule for finding in report.findings} == {Rule.SEAL_INVALID}
    assert "unknown key" in report.findings[0].sentence


async def test_a_key_under_anothers_name_is_none(connection: Connection, database_url: str, verify: Verify) -> None:
    await sealed_history(connection, seed=7, commands=40)
    head, key, *rest = without_end(await as_ndjson(database_url)).splitlines(keepends=True)
    other = {**json.loads(key), "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    forged = head + json.dumps(other, separators=(",", ":")).encode() + b"\n" + b"".join(rest)
    assert "unknown key" in verify(with_end(forged)).findings[0].sentence


async def test_a_kept_seal_finds_out_whoever_has_made_all_of_it_again(
    connection: Connection, database_url: str, verify: Verify
) -> None:
    await sealed_history(connection, seed=8, commands=40)
    kept = await kept_seal(connection)
    assert verify(await as_ndjson(database_url), kept).ok
    await connection.execute("RESET ROLE")
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("DELETE FROM seals")
    await seal_keys.rotate(connection)
    while await seals.seal_next(connection):
        pass
    made_again = await as_ndjson(database_url)
    assert verify(made_again).ok
    report = verify(made_again, kept)
    assert {finding.rule for finding in report.findings} == {Rule.SEAL_MISSING}


async def test_an_export_from_before_a_kept_seal_does_not_pass_for_one_after_it(
    connection: Connection, database_url: str, verify: Verify
) -> None:
    box_office = await sealed_history(connection, seed=9, commands=40)
    before = await as_ndjson(database_url)
    for _ in range(2):
        await append(connection, box_office.commands(3))
        await seals.seal_next(connection)
    (finding,) = verify(before, await kept_seal(connection)).findings
    assert finding.rule == Rule.SEAL_MISSING
    assert "is gone" in finding.sentence


async def test_a_kept_seal_of_a_range_without_the_event_is_said_to_say_nothing(
    connection: Connection, database_url: str, verify: Verify
) -> None:
    box_office = await sealed_history(connection, seed=10)
    keys = {key["kid"]: key for key in await seal_keys.published(connection)}
    all_seals = await seals.after(connection, 0, 1_000)
    for event_id in box_office.events:
        exported = await as_ndjson(database_url, event_id)
        there = {json.loads(line)["number"] for line in exported.splitlines() if b'"kind":"seal"' in line}
        for seal in all_seals:
            kept = KeptSeal(seal.jws, seals.check(seal.jws, keys))
            if {seal.number, seal.number - 1} & there:
                assert verify(exported, kept).ok
            else:
                with pytest.raises(SealElsewhere, match="it says nothing about it"):
                    verify(exported, kept)


async def kept_seal(connection: Connection) -> KeptSeal:
    """The newest seal, as an operator keeps it."""
    file = await newest(connection)
    assert file
    return read(json.dumps({"seal": file.seal, "key": file.key}).encode())


async def test_another_event_in_the_file_of_one_is_named(connection: Connection, verify: Verify) -> None:
    box_office = await sealed_history(connection, seed=11, commands=40)
    rows = await reading.rows_after(connection, 0, 10_000)
    (first, *_) = verify(written(rows, uuid4())).findings
    assert (first.position, first.rule) == (1, Rule.FILE_ALTERED)
    assert verify(written([row for row in rows if row.stream_id == box_office.events[0]], uuid4())).findings_count > 1


async def test_what_is_no_whole_export_is_told_in_a_sentence(
    connection: Connection, database_url: str, verify: Verify
) -> None:
    await sealed_history(connection, seed=12, commands=20)
    exported = await as_ndjson(database_url)
    told = exported.splitlines(keepends=True)
    broken = {
        "is empty": b"",
        "something else": b"\x7fELF",
        "Line 1 of .* is no record": await as_cloud_events(database_url),
        "Line 1 of .* may not be of the kind key there": b"".join(told[1:]),
        "Line 4 of .* is no JSON": b"".join([*told[:3], b"{...}\n", *told[3:]]),
        "Line 4 of .* is no record of an export: .*'row'": b"".join([*told[:3], b'{"kind":"row"}\n', *told[3:]]),
        "cut in the middle of line 7": b"".join([*told[:6], told[6][:-9]]),
        "cut: it ends after line 7, without its last record": b"".join(told[:7]),
        f"Line {len(told) + 1} of .* may not be of the kind domain-event": exported + told[5],
        "has the format 2; this program reads 1": exported.replace(b'"format_version":1', b'"format_version":2'),
        "export is Parquet, which is for analysis: only an export as NDJSON proves itself": b"PAR1",
    }
    for sentence, content in broken.items():
        with pytest.raises(FileBroken, match=sentence):
            verify(content)


async def test_every_tampering_at_random_places_is_found(database_url: str, tmp_path: Path) -> None:
    made = await exports(database_url, seed=13)
    dice = random.Random(13)
    done = [one_round(made, tmp_path / "export", dice) for _ in range(ROUNDS)]
    assert [what for what, found in done if found is None] == []


@pytest.mark.parametrize("apart_from_bytes", [0, APART_FROM_BYTES])
def test_a_temporary_folder_without_room_is_told_in_a_sentence(
    verify: Verify, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, apart_from_bytes: int
) -> None:
    exported = written(stored(*BoxOffice(15).commands(100)))
    monkeypatch.setattr(verify_file_module, "APART_FROM_BYTES", apart_from_bytes)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(NoRoom, match=r"gone can't hold a copy of the file: .*No such file"):
        verify(exported)


@pytest.mark.parametrize("room_bytes", [0, 40_000])
def test_a_full_temporary_folder_is_told_in_a_sentence(
    verify: Verify, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    full = f"; PRAGMA page_size = 512; PRAGMA max_page_count = {room_bytes // 512 or 1}"
    monkeypatch.setattr(stream_sorter, "SETTINGS", stream_sorter.SETTINGS + full)
    with pytest.raises(NoRoom, match=r"can't hold a copy of the file: database or disk is full. Name another folder"):
        verify(written(stored(*BoxOffice(15).commands(100))))


async def test_seals_of_one_event_out_of_their_order_are_named(
    connection: Connection, database_url: str, verify: Verify
) -> None:
    box_office = await sealed_history(connection, seed=16)
    exported = without_end(await as_ndjson(database_url, box_office.events[0])).splitlines(keepends=True)
    numbers = [number for number, line in enumerate(exported) if b'"kind":"seal"' in line]
    first, second, *_ = numbers
    begins = json.loads(exported[first])["first_position"]
    later_first = [*exported[:first], *exported[first + 1 : second + 1], exported[first], *exported[second + 1 :]]
    twice = [*exported[: first + 1], *exported[first:]]
    for wrong in (later_first, twice):
        found = verify(with_end(b"".join(wrong))).findings
        assert (begins, Rule.SEAL_HOLE) in {(finding.position, finding.rule) for finding in found}


@pytest.mark.parametrize(("scope", "last_position"), [("everything", 2**70), ("event", 2**62), ("event", 2**12_000)])
def test_a_seal_of_a_range_that_nobody_can_have_is_named(verify: Verify, scope: str, last_position: int) -> None:
    """Whoever forges a file may sign whatever he likes with a key of his own."""
    private_key = Ed25519PrivateKey.generate()
    public_key = OKPAlgorithm.to_jwk(private_key.public_key(), as_dict=True) | {"use": "sig", "alg": "EdDSA"}
    key = seal_keys.SigningKey(seal_keys.thumbprint(public_key), private_key)
    claims = seals.Claims(1, 1, last_position, "a" * 64, seals.NONE_BEFORE, NOON)
    exported = written(stored([created()]), CONCERT if scope == "event" else None)
    head, row, _ = exported.splitlines(keepends=True)
    seal = SealRecord(1, 1, 2, NOON, seals.sign(key, claims), b"", ("a" * 64,))
    report = verify(with_end(head + lines([PublicKey(kid=key.key_id, **public_key)]) + row + lines([seal])))
    assert {finding.rule for finding in report.findings} <= {Rule.SEAL_INVALID, Rule.SEAL_ALTERED, Rule.SEAL_BROKEN}
    assert msgspec.json.encode(report)
    assert not report.ok


async def test_large_files_are_verified_in_two_processes(
    connection: Connection, database_url: str, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_file_module, "APART_FROM_BYTES", 0)
    await sealed_history(connection, seed=14, commands=40)
    exported = await as_ndjson(database_url)
    assert verify(exported).ok
    name, (commands, broken) = next(iter(BROKEN_RULES.items()))
    found = verify(written(stored(*commands))).findings
    assert {(finding.position, finding.rule) for finding in found} == broken, name
    with pytest.raises(FileBroken, match="cut in the middle of line"):
        verify(exported[:-9])
