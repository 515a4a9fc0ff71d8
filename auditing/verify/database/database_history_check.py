"""The history of a database in its one order, with its seals and the tables that have a row per position."""

from collections.abc import Callable, Mapping, Sequence

from auditing.findings import Findings, Rule
from auditing.verify.checks.history_pass import HistoryPass
from auditing.verify.checks.seal_pass import SealPass
from auditing.verify.database import one_moment
from auditing.verify.database.cross_stream_table_check import AcrossStreams
from auditing.verify.database.table_check import TableCheck
from auditing.verify.database.verification_range import Plan
from eventstore.postgres.connections import Connection
from eventstore.reading import Recorded, StoredRow
from eventstore.seals import seal_keys, seals
from eventstore.seals.seal_keys import Jwk
from projections.projector.folding import Rows
from projections.tables.table import Table

SEALS_AHEAD = 32


async def verify_history(
    connection: Connection, plan: Plan, findings: Findings, on_progress: Callable[[int], None]
) -> SealPass:
    """Judge every row that the plan means; `on_progress` gets the number of domain events read after each part."""
    tables = one_moment.BY_POSITION if plan.tables_are_ours else ()
    checks = [(TableCheck(findings, table), one_moment.of_table(connection, table, plan.after)) for table in tables]
    # What several streams make can be told from the whole history only.
    is_whole = plan.tables_are_ours and not plan.after
    across = AcrossStreams(findings, one_moment.ACROSS_STREAMS if is_whole else (), plan.folded_through)
    keys: Mapping[str, Jwk] = {key["kid"]: key for key in await seal_keys.published(connection)}
    sealed = SealPass(findings, keys, before=plan.before)
    in_order = HistoryPass(findings, after=plan.after)
    async for rows in one_moment.rows(connection, plan.after):
        await _learn_seals(connection, sealed, rows[-1].position)
        sealed.feed(rows)
        recorded = in_order.feed(rows)
        if unknown := in_order.unknown_events():
            in_order.learn(await one_moment.of_prices(connection, unknown, rows[-1].position))
        unreadable = _unreadable(rows, recorded)
        for check, live in checks:
            check.demand(_demanded(check.table, recorded, plan.folded_through))
            async for part in live.upto(rows[-1].position):
                check.compare(part, unreadable)
            check.settle()
        across.feed(recorded)
        if unreadable:
            across.give_up()
        on_progress(in_order.rows)
    in_order.end()
    await _learn_seals(connection, sealed, None)
    sealed.end()
    for check, live in checks:
        async for part in live.rest():
            check.compare(part)
    await across.compare(connection)
    if plan.folded_through > plan.head:
        sentence = f"The tables are folded up to {plan.folded_through}; the history ends at {plan.head}."
        findings.add(plan.head + 1, Rule.PROJECTION_DIFFERS, "table checkpoint", sentence)
    return sealed


async def _learn_seals(connection: Connection, sealed: SealPass, position: int | None) -> None:
    """Read seals until they cover a position, or all of them."""
    while position is None or sealed.learned_through < position:
        number = sealed.newest.number if sealed.newest else 0
        more = await seals.after(connection, number, SEALS_AHEAD)
        for seal in more:
            sealed.learn(seal)
        if len(more) < SEALS_AHEAD:
            return


def _demanded(table: Table, recorded: Sequence[Recorded], folded_through: int) -> Rows:
    """The rows that a table has to have of these."""
    rows: Rows = {}
    for position, _, it in recorded:
        if position > folded_through:
            break
        if type(it) in table.changed_keys:
            rows[position] = table.fold(None, position, position, it)
    return rows


def _unreadable(rows: Sequence[StoredRow], recorded: Sequence[Recorded]) -> set[object]:
    """The streams of the rows that could not be read."""
    if len(rows) == len(recorded):
        return set()
    read = {one.position for one in recorded}
    return {row.stream_id for row in rows if row.position not in read}
