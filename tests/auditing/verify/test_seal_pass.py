"""One pass judges all seals: those of a whole history and of a part, in whatever order they come."""

from collections.abc import Sequence

import pytest

from auditing.findings import Findings, Rule
from auditing.verify.checks.seal_pass import SealPass
from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import StoredRow
from eventstore.seals import seal_keys, seals
from eventstore.seals.seals import Seal
from tests.auditing.sealed_histories import sealed_history

Broken = list[tuple[int | None, Rule]]


class Sealed:
    """A history with its seals, to be judged as it is or altered."""

    def __init__(self, keys: list[seal_keys.Jwk], rows: list[StoredRow], all_seals: list[Seal]) -> None:
        self.keys = {key["kid"]: key for key in keys}
        self.rows = rows
        self.seals = all_seals

    def broken(self, rows: Sequence[StoredRow], all_seals: Sequence[Seal], *, gapless: bool) -> tuple[int, Broken]:
        """Up to where it is sealed, and what is found; seals come after the rows of their ranges, as in a file."""
        findings = Findings()
        judge = SealPass(findings, self.keys, gapless=gapless)
        rest = list(rows)
        for seal in all_seals:
            judge.feed([row for row in rest if row.position <= seal.last_position])
            rest = [row for row in rest if row.position > seal.last_position]
            judge.learn(seal)
        judge.feed(rest)
        judge.end()
        return judge.sealed_through, [(finding.position, finding.rule) for finding in findings.kept]


@pytest.fixture
async def sealed(connection: Connection) -> Sealed:
    await sealed_history(connection, seed=17, commands=60)
    keys = await seal_keys.published(connection)
    return Sealed(keys, await reading.rows_after(connection, 0, 10_000), await seals.after(connection, 0, 1_000))


async def test_a_whole_history_is_a_part_of_which_nothing_is_missing(sealed: Sealed) -> None:
    for position in (None, 1, sealed.seals[1].first_position, sealed.seals[-1].last_position):
        rows = [row._replace(version=row.version + 1) if row.position == position else row for row in sealed.rows]
        expected = [] if position is None else [(position, Rule.SEAL_BROKEN)]
        for gapless in (True, False):
            sealed_through, broken = sealed.broken(rows, sealed.seals, gapless=gapless)
            assert broken == expected
            assert (sealed_through < sealed.seals[-1].last_position) == (position == sealed.seals[-1].last_position)


async def test_what_is_gone_is_named_position_by_position(sealed: Sealed) -> None:
    gone = {sealed.seals[0].last_position, sealed.seals[1].first_position}
    _, broken = sealed.broken([row for row in sealed.rows if row.position not in gone], sealed.seals, gapless=True)
    assert broken == [(position, Rule.SEAL_BROKEN) for position in sorted(gone)]


async def test_a_seal_that_comes_twice_is_not_held_against_its_range_again(sealed: Sealed) -> None:
    first, *others = sealed.seals
    sealed_through, broken = sealed.broken(sealed.rows, [first, first, *others], gapless=False)
    assert broken == [(first.first_position, Rule.SEAL_HOLE)] * 2
    assert sealed_through == others[-1].last_position


async def test_a_missing_seal_leaves_its_range_without_proof(sealed: Sealed) -> None:
    first, missing, after, *others = sealed.seals
    _, broken = sealed.broken(sealed.rows, [first, after, *others], gapless=True)
    assert broken == [
        (missing.first_position, Rule.SEAL_HOLE),
        (missing.first_position, Rule.SEAL_BROKEN),
        (missing.first_position, Rule.SEAL_HOLE),
        (missing.first_position, Rule.SEAL_BROKEN),
    ]


async def test_seals_that_were_altered_are_named(sealed: Sealed) -> None:
    first, *others = sealed.seals
    for altered, rule in (
        (first._replace(last_position=first.last_position - 1), Rule.SEAL_ALTERED),
        (first._replace(fingerprints=b"0" * len(first.fingerprints)), Rule.SEAL_ALTERED),
        (first._replace(jws=first.jws[:-4]), Rule.SEAL_INVALID),
    ):
        _, broken = sealed.broken(sealed.rows, [altered, *others], gapless=True)
        assert (1, rule) in broken
