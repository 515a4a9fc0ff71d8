"""With a kept seal nothing passes for proved that is neither bound by it nor signed with its key."""

from itertools import pairwise
from pathlib import Path

from auditing.export import checker
from auditing.verify.checks.kept_seal import KeptSeal
from auditing.verify.errors import SealElsewhere
from auditing.verify.file.verify_file import verify_file
from eventstore.postgres.connections import Connection
from eventstore.seals import seal_keys, seals
from tests.auditing.resealed_exports import file_of, kept_of, resealed, seals_of
from tests.auditing.sealed_histories import as_ndjson, sealed_history
from tests.projections.histories import append

WELL = (0, "")


def judged(tmp_path: Path, exported: bytes, kept: KeptSeal, kept_file: bytes) -> tuple[int, str]:
    """What both judges end with, and the first sentence of verification; they agree."""
    path, seal = tmp_path / "export", tmp_path / "seal"
    path.write_bytes(exported)
    seal.write_bytes(kept_file)
    try:
        report = verify_file(path, kept=kept)
        told = (0, "") if report.ok else (1, report.findings[0].sentence)
    except SealElsewhere as elsewhere:
        told = (2, str(elsewhere))
    try:
        by_checker = (1 if checker.check_file(path, checker.kept_seal(seal)).faults else 0, "")
    except checker.NotReadable as elsewhere:
        by_checker = (2, str(elsewhere))
    assert (told[0], "compare the key" in told[1]) == (by_checker[0], "compare the key" in by_checker[1])
    return told


async def rotated(connection: Connection) -> None:
    """A new key, by a login that may."""
    await connection.execute("RESET ROLE")
    await seal_keys.rotate(connection)


async def test_a_seal_that_the_kept_one_does_not_bind_is_not_proved_by_a_key_that_was_put_in(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    box_office = await sealed_history(connection, seed=31)
    forged = 0
    for event_id in box_office.events:
        exported = await as_ndjson(database_url, event_id)
        numbers = seals_of(exported)
        for first, later in pairwise(numbers):
            if later == first + 1:
                continue
            kept = kept_of(exported, later)
            assert judged(tmp_path, exported, kept, file_of(kept, exported)) == WELL
            bad, key_id = resealed(exported, first)
            code, sentence = judged(tmp_path, bad, kept, file_of(kept, exported))
            assert (code, key_id in sentence) == (2, True), sentence
            forged += 1
    assert forged


async def test_a_seal_that_was_put_in_behind_the_kept_one_is_not_proved(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    box_office = await sealed_history(connection, seed=32, commands=60)
    last = seals_of(await as_ndjson(database_url))[-1]
    for event_id in (None, *box_office.events):
        exported = await as_ndjson(database_url, event_id)
        numbers = seals_of(exported)
        if last not in numbers or len(numbers) < 2:
            continue
        kept = kept_of(exported, numbers[-2])
        bad, key_id = resealed(exported, last)
        code, sentence = judged(tmp_path, bad, kept, file_of(kept, exported))
        assert (code, key_id in sentence) == (2, True), sentence


async def test_what_the_kept_seal_binds_is_proved_whatever_key_it_was_signed_with(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    box_office = await sealed_history(connection, seed=33, commands=40)
    await rotated(connection)
    for _ in range(2):
        await append(connection, box_office.commands(5))
        assert await seals.seal_next(connection)
    exported = await as_ndjson(database_url)
    newest = kept_of(exported, seals_of(exported)[-1])
    assert judged(tmp_path, exported, newest, file_of(newest, exported)) == WELL
    of_events = [await as_ndjson(database_url, event_id) for event_id in box_office.events]
    kept_file = file_of(newest, exported)
    told = [judged(tmp_path, one, newest, kept_file) for one in of_events if newest.claims.number in seals_of(one)]
    assert all(code == 0 or "compare the key" in sentence for code, sentence in told)
    assert told


async def test_a_key_that_was_rotated_since_the_kept_seal_is_to_be_compared(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    box_office = await sealed_history(connection, seed=34, commands=40)
    before = await as_ndjson(database_url)
    kept = kept_of(before, seals_of(before)[-1])
    await rotated(connection)
    await append(connection, box_office.commands(5))
    seal = await seals.seal_next(connection)
    assert seal
    code, sentence = judged(tmp_path, await as_ndjson(database_url), kept, file_of(kept, before))
    assert (code, seals.key_id_of(seal.jws) in sentence) == (2, True)
