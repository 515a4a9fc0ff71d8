"""Where verifying a database begins: both passes over one moment of its history, and all that was made from it."""

from auditing.findings import REPORTED_FINDINGS, Findings, Report
from auditing.verify.checks.kept_seal import KeptSeal, KeptSealCheck
from auditing.verify.checks.seal_pass import SealPass
from auditing.verify.database import one_moment
from auditing.verify.database.database_history_check import verify_history
from auditing.verify.database.database_streams_check import verify_streams, verify_streams_in_process
from auditing.verify.database.protection import append_only, expect_tables_unaltered
from auditing.verify.database.verification_range import Plan, plan
from auditing.verify.garbage_collection import sparing_collector
from auditing.verify.stream_process import stream_process
from eventstore import reading
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from projections.progress_callback import ProgressCallback, no_progress

# Fewer are not worth a second process.
APART_FROM_POSITIONS = 50_000


async def verify(
    box_office: BoxOffice | str,
    *,
    since_seal: int | None = None,
    kept: KeptSeal | None = None,
    on_progress: ProgressCallback = no_progress,
) -> Report:
    """Read everything as of now and say which rules are broken. `on_progress` gets domain events done, and of how many.

    Memory is bounded by the largest event; 50,000 domain events a second take two processors. With `since_seal` only
    that seal and what came after it is read, and the streams that have grown since. Raises `NoSuchSeal`,
    `TableAltered`, `StreamsUnread` and `psycopg.Error`.
    """
    with sparing_collector():
        async with one_moment.moment(box_office) as connection:
            return await verify_moment(connection, since_seal, kept, on_progress, apart=True)


async def verify_moment(
    connection: Connection,
    since_seal: int | None = None,
    kept: KeptSeal | None = None,
    on_progress: ProgressCallback = no_progress,
    apart: bool = False,
) -> Report:
    """The same for what an open transaction sees; with `apart` a second process may help."""
    await expect_tables_unaltered(connection)
    what = await plan(connection, since_seal)
    findings = Findings()
    if kept is not None:
        check = KeptSealCheck(findings, kept)
        for seal in await seals.after(connection, kept.claims.number - 1, 1):
            check.look(seal.number, seal.jws)
        check.end()
    if not apart or what.head - what.after < APART_FROM_POSITIONS:
        sealed = await _in_one_process(connection, what, findings, on_progress)
    else:
        sealed = await _in_two_processes(connection, what, findings, on_progress)
    return await _report(connection, what, sealed, findings)


async def _in_one_process(
    connection: Connection, what: Plan, findings: Findings, on_progress: ProgressCallback
) -> SealPass:
    total = what.head - what.after
    sealed = await verify_history(connection, what, findings, lambda rows: on_progress(rows // 2, total))
    await verify_streams(connection, what, findings, lambda rows: on_progress((total + min(rows, total)) // 2, total))
    return sealed


async def _in_two_processes(
    connection: Connection, what: Plan, findings: Findings, on_progress: ProgressCallback
) -> SealPass:
    total = what.head - what.after
    shared = await one_moment.share(connection)
    with stream_process(verify_streams_in_process, connection.box_office, shared, what) as process:
        done = 0

        def tell(rows: int) -> None:
            nonlocal done
            done = rows
            process.look()
            on_progress((done + min(process.rows, total)) // 2, total)

        sealed = await verify_history(connection, what, findings, tell)
        await process.ended(lambda: on_progress((done + min(process.rows, total)) // 2, total), findings)
    return sealed


async def _report(connection: Connection, what: Plan, sealed: SealPass, findings: Findings) -> Report:
    now = await reading.now(connection)
    newest = sealed.newest
    return Report(
        ok=findings.count == 0,
        verified_at=now,
        head=what.head,
        domain_events=what.head - what.after,
        since_seal=what.since_seal,
        newest_seal=newest.number if newest else None,
        sealed_through=sealed.sealed_through,
        unsealed=max(0, what.head - sealed.learned_through),
        projections_position=what.folded_through if what.tables_are_ours else None,
        append_only=await append_only(connection),
        findings_count=findings.count,
        findings=findings.kept[:REPORTED_FINDINGS],
    )
