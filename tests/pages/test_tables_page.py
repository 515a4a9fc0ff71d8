"""The page about the tables says what the database says, and shows an example of each that answers."""

from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.pages.example_queries import EXAMPLES
from tests.pages.tables_page import PAGE, page
from tests.projections.histories import BoxOffice
from tests.projections.sold import fill


def test_the_page_is_the_one_that_would_be_written(database_url: str) -> None:
    assert PAGE.read_text() == page(database_url), "run python -m tests.pages.tables_page"


async def test_each_example_asks_its_table_and_is_answered(database_url: str) -> None:
    await fill(database_url, BoxOffice(3).commands(600))
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        for name, example in EXAMPLES.items():
            assert f"FROM {name}" in example.query
            answered = await (await connection.execute(example.query.encode())).fetchall()
            assert answered, example.question
