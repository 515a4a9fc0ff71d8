"""The streams of a database, with the snapshots and the projection tables that are made of them."""

import asyncio
from collections.abc import Callable

from auditing.findings import Findings
from auditing.verify.checks.stream_pass import StreamPass
from auditing.verify.database import one_moment
from auditing.verify.database.table_check import TableCheck
from auditing.verify.database.verification_range import Plan
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection


async def verify_streams(
    connection: Connection, plan: Plan, findings: Findings, on_progress: Callable[[int], None]
) -> None:
    """Judge every stream that the plan means; `on_progress` gets the number of domain events read after each part."""
    tables = one_moment.BY_STREAM_ALONE if plan.tables_are_ours else ()
    checks = [
        (TableCheck(findings, table), one_moment.of_table(connection, table, plan.grown_after)) for table in tables
    ]
    snapshots = one_moment.snapshots(connection, plan.grown_after)
    streams = StreamPass(findings, folded_through=plan.folded_through, tables=tables)
    async for rows in one_moment.rows_by_stream(connection, plan.grown_after):
        async for kept in snapshots.upto(rows[-1].stream_id):
            streams.expect(kept)
        streams.feed(rows)
        folded = streams.take_folded()
        for check, live in checks:
            check.demand(folded.rows[check.name])
            if folded.through is not None:
                async for part in live.upto(folded.through):
                    check.compare(part, folded.unfoldable)
            check.settle(folded.unfoldable)
        on_progress(streams.rows)
    async for kept in snapshots.rest():
        streams.expect(kept)
    streams.end()
    folded = streams.take_folded()
    for check, live in checks:
        check.demand(folded.rows[check.name])
        async for part in live.rest():
            check.compare(part, folded.unfoldable)
        check.settle(folded.unfoldable)


def verify_streams_in_process(
    findings: Findings, on_progress: Callable[[int], None], box_office: BoxOffice, shared: str, plan: Plan
) -> None:
    """The same for another process, at the moment that the first one has shared."""

    async def verify() -> None:
        async with one_moment.moment(box_office, shared) as connection:
            await verify_streams(connection, plan, findings, on_progress)

    asyncio.run(verify())
