"""Tampers with exports at random places, byte by byte and line by line, and sees that each tampering is found.

`python -m tests.campaigns.export_tampering --rounds 1000 --seed 1` in the project's environment; ends with 1 at the
first that is not.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from auditing.export import checker
from auditing.export.errors import FileBroken
from auditing.verify.file.verify_file import verify_file
from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.auditing.sealed_histories import as_ndjson, sealed_history
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate


class Exports(NamedTuple):
    """One history as files: everything, and one event."""

    everything: bytes
    one_event: bytes


async def exports(database_url: str, seed: int) -> Exports:
    """Record a random history, seal it in ranges of any size but for its end, and export it."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        box_office = await sealed_history(connection, seed)
    largest = max(box_office.events, key=[event_id for _, event_id in box_office.reservations].count)
    return Exports(await as_ndjson(database_url), await as_ndjson(database_url, largest))


def any_change(content: bytes, dice: random.Random) -> tuple[str, bytes]:
    """Some bytes altered, deleted, inserted or cut off, or some lines deleted, doubled or swapped."""
    place, size = dice.randrange(len(content)), dice.randint(1, 40)
    some_lines = content.splitlines(keepends=True)
    line = dice.randrange(len(some_lines))
    other = dice.choice([number for number in range(len(some_lines)) if some_lines[number] != some_lines[line]])
    swapped = [{line: some_lines[other], other: some_lines[line]}.get(n, text) for n, text in enumerate(some_lines)]
    altered = bytes([dice.choice([byte for byte in range(256) if byte != content[place]])])
    changes = {
        f"byte {place} altered": content[:place] + altered + content[place + 1 :],
        f"{size} bytes at {place} deleted": content[:place] + content[place + size :],
        f"{size} bytes at {place} inserted": content[:place] + dice.randbytes(size) + content[place:],
        f"cut at {place}": content[:place],
        f"line {line + 1} deleted": b"".join(some_lines[:line] + some_lines[line + 1 :]),
        f"line {line + 1} doubled": b"".join(some_lines[: line + 1] + some_lines[line:]),
        f"lines {line + 1} and {other + 1} swapped": b"".join(swapped),
    }
    return dice.choice(list(changes.items()))


def forgery(content: bytes, dice: random.Random) -> tuple[str, bytes]:
    """What somebody would do who knows the format: change what is sealed, and make the last line right again."""
    told = [json.loads(line) for line in content.splitlines()]
    texts = content.splitlines(keepends=True)
    last_seal = max(number for number, one in enumerate(told) if one["kind"] == "seal")
    rows = [number for number, one in enumerate(told[:last_seal]) if one["kind"] == "domain-event"]
    seals_there = [number for number, one in enumerate(told[:last_seal]) if one["kind"] == "seal"]
    what, forged = dice.choice(list(_forgeries(told, texts, rows, seals_there, dice)))
    del forged[-1]
    counted = [json.loads(line)["kind"] for line in forged]
    before = b"".join(forged)
    end = {
        "kind": "end",
        "domain_events": counted.count("domain-event"),
        "seals": counted.count("seal"),
        "sha256": sha256(before).hexdigest(),
    }
    return what, before + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def _forgeries(
    told: list[dict[str, Any]], texts: list[bytes], rows: list[int], seals_there: list[int], dice: random.Random
) -> Iterator[tuple[str, list[bytes]]]:
    row, other = dice.sample(rows, 2)
    state = told[row]["state"] | {"request_id": str(UUID(int=dice.getrandbits(128)))}
    other_type = "TicketsSold" if told[row]["type"] == "TicketsHeld" else "TicketsHeld"
    for change in ({"state": state}, {"version": told[row]["version"] + 1}, {"type": other_type}):
        yield f"line {row + 1} with another {next(iter(change))}", _with(texts, {row: told[row] | change})
    yield f"line {row + 1} left out", texts[:row] + texts[row + 1 :]
    yield f"line {row + 1} doubled", texts[: row + 1] + texts[row:]
    traded = {row: told[other] | _place(told[row]), other: told[row] | _place(told[other])}
    yield f"lines {row + 1} and {other + 1} in each other's place", _with(texts, traded)
    for seal in dice.sample(seals_there, min(1, len(seals_there))):
        yield f"seal in line {seal + 1} left out", texts[:seal] + texts[seal + 1 :]
        shorter = told[seal] | {"last_position": told[seal]["last_position"] + 1}
        yield f"seal in line {seal + 1} with another range", _with(texts, {seal: shorter})


def _place(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("position", "command_position")}


def _with(texts: list[bytes], changed: dict[int, dict[str, Any]]) -> list[bytes]:
    new = {number: json.dumps(one, separators=(",", ":"), ensure_ascii=False) for number, one in changed.items()}
    return [new[number].encode() + b"\n" if number in new else text for number, text in enumerate(texts)]


def what_is_found(path: Path) -> str | None:
    """The first thing that verification says is wrong; None when it says that all is well."""
    try:
        report = verify_file(path)
    except FileBroken as broken:
        return str(broken)
    assert report.ok is not bool(report.findings)
    return report.findings[0].sentence if report.findings else None


def what_the_checker_finds(path: Path) -> str | None:
    """The same of the checker that goes with an export."""
    try:
        faults = checker.check_file(path, None).faults
    except checker.NotReadable as broken:
        return str(broken)
    return faults[0] if faults else None


def one_round(made: Exports, path: Path, dice: random.Random) -> tuple[str, str | None]:
    """Tamper once with one of the exports; what was done, and what was found by verification and by the checker."""
    kind = dice.choice([any_change, forgery])
    what, content = kind(dice.choice(made), dice)
    path.write_bytes(content)
    return what, what_is_found(path) and what_the_checker_finds(path)


def main() -> None:
    """Round after round, each with another tampering; a new history every hundred."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=1_000)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randint(0, 2**32))
    chosen = options.parse_args()
    dice = random.Random(chosen.seed)
    sys.stdout.write(f"seed {chosen.seed}\n")
    with tempfile.TemporaryDirectory(prefix="tixxety-tampering-") as folder:
        Path(folder).chmod(0o711)
        path = Path(folder) / "export"
        for number in range(chosen.rounds):
            if number % 100 == 0:
                made = _new_exports(Path(folder) / f"home-{number}", dice.randrange(2**32))
            what, found = one_round(made, path, dice)
            if found is None:
                kept = Path(tempfile.gettempdir()) / "not-found.export"
                kept.write_bytes(path.read_bytes())
                sys.exit(f"round {number + 1}: {what}: NOT FOUND, see {kept}")
            if (number + 1) % 100 == 0 or number + 1 == chosen.rounds:
                sys.stdout.write(f"{number + 1} rounds, all found\n")
                sys.stdout.flush()


def _new_exports(home: Path, seed: int) -> Exports:
    server = EmbeddedPostgres(home, durable=False)
    try:
        database_url = server.start()
        migrate(database_url)
        made = asyncio.run(exports(database_url, seed))
    finally:
        server.discard()
    for content in made:
        path = home.parent / "untouched"
        path.write_bytes(content)
        found = what_is_found(path) or what_the_checker_finds(path)
        assert found is None, f"something was found in an untouched export (seed {seed}): {found}"
    return made


if __name__ == "__main__":
    main()
