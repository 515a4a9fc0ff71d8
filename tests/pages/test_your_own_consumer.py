"""The page about a consumer of one's own keeps its word: done as it says, the book has a line for each payment."""

import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from domain.reservation import ReservationPaid
from eventstore.postgres.connections import Connection, connect
from eventstore.reading import read_after
from eventstore.writing.group_commit import GroupCommit
from projections.queries.consumers_queries import lags
from tests import box_office
from tests.running import ROOT, running
from tests.test_tidy import PACKAGES

PAGE = (ROOT / "docs/your-own-consumer.md").read_text()
LAST_LINE = re.compile(r"^    await first_to_end\(.*\)\n", re.MULTILINE)

Lines = list[tuple[int, str, int, str]]


def fenced(language: str) -> list[str]:
    """The page's blocks in that language, in order."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)


class Copy(NamedTuple):
    """The project with what the page adds to it, and the database that its worker works for."""

    folder: Path
    database_url: str

    @contextmanager
    def worker(self) -> Iterator[None]:
        """The page's command runs for the block."""
        (command,) = fenced("sh")
        python, *arguments = command.split()
        assert python == "python3"
        environment = {"DATABASE_URL": self.database_url, "TIXXETY_NO_VENV": "1"}
        with running([sys.executable, *arguments], environment, self.folder / "log", self.folder) as process:
            yield
            assert process.is_alive(), (self.folder / "log").read_text()[-2000:]

    @property
    def book(self) -> Path:
        return self.folder / "paid.sqlite"

    def lines(self) -> Lines:
        """All lines of the book; none before it is there."""
        if not self.book.exists():
            return []
        with closing(sqlite3.connect(self.book)) as book:
            has_lines = book.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,)
            return book.execute("SELECT * FROM paid ORDER BY position").fetchall() if has_lines else []

    def as_owner(self, statement: str) -> None:
        """Run one of the page's statements."""
        with psycopg.connect(self.database_url, autocommit=True) as owner:
            assert owner.execute(statement.encode()).rowcount == 1


@pytest.fixture
def copy(tmp_path: Path, database_url: str) -> Copy:
    """Made by hand as the page says."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    module, runs = fenced("python")
    (tmp_path / "workers/paid_book.py").write_text(module)
    imports = re.findall(r"`(from [^`]+ import [^`]+)`", PAGE)
    assert len(imports) == 2
    main = (tmp_path / "workers/main.py").read_text()
    changed, times = LAST_LINE.subn(runs, main)
    assert times == 1
    (tmp_path / "workers/main.py").write_text(
        changed.replace("import structlog\n", "\n".join([*imports, "import structlog\n"]), 1)
    )
    return Copy(tmp_path, database_url)


async def pay(commands: GroupCommit, connection: Connection, count: int) -> None:
    """So many reservations are paid, and one more is not."""
    organiser, *buyers = await box_office.register(connection, count + 2)
    event = box_office.create(organiser)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
    await box_office.submit_all(commands, wishes)
    await box_office.submit_all(commands, [box_office.pay(wish) for wish in wishes[:count]])


async def paid(connection: Connection, after: int = 0) -> Lines:
    """What the book has to say of the history behind a position."""
    return [
        (one.position, str(one.domain_event.originator_id), one.domain_event.amount_minor, one.domain_event.currency)
        for one in await read_after(connection, after, 10_000)
        if isinstance(one.domain_event, ReservationPaid)
    ]


async def until_written(copy: Copy, wanted: Lines) -> None:
    async def is_written() -> bool:
        return copy.lines() == wanted

    await box_office.until(is_written)


async def test_a_consumer_of_ones_own_is_given_all_that_was_paid(copy: Copy) -> None:
    from_the_head, all_again = fenced("sql")
    url = copy.database_url
    async with await connect(url) as connection, GroupCommit(url) as commands:
        await pay(commands, connection, 20)
        with copy.worker():
            await until_written(copy, await paid(connection))
            await pay(commands, connection, 5)
            await until_written(copy, await paid(connection))
            behind = {lag.name: lag.behind for lag in await lags(connection)}
            assert behind.keys() == {"projector", "sealing", "paid-book"}
            # A line is lost, and all is given once more.
            with closing(sqlite3.connect(copy.book)) as book, book:
                book.execute("DELETE FROM paid WHERE position = (SELECT min(position) FROM paid)")
            copy.as_owner(all_again)
            await pay(commands, connection, 1)
            await until_written(copy, written := await paid(connection))
            assert len(written) == 26
        copy.book.unlink()
        copy.as_owner("DELETE FROM tixxety.consumers WHERE name = 'paid-book'")
        copy.as_owner(from_the_head)
        await pay(commands, connection, 2)
        with copy.worker():
            await until_written(copy, written := await paid(connection, after=written[-1][0]))
            assert len(written) == 2
