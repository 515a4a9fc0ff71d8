"""Progress, where standard error is no terminal and where it is one."""

from io import StringIO

from rich.console import Console

from tixxety.terminal.progress import Report


class Clock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def told(*steps: tuple[str, int], total: int, steps_count: bool, terminal: bool = False) -> str:
    """What is said of these, 2.5 seconds apart."""
    clock, said = Clock(), StringIO()
    console = Console(file=said, force_terminal=terminal, width=100)
    report = Report(console, clock, steps_count=steps_count)
    with report.bar:
        for step, done in steps:
            report.tell(step, done, total)
            clock.seconds += 2.5
        report.say("at [last] :smile:")
    return said.getvalue()


def test_elsewhere_than_on_a_terminal_it_is_lines_with_rate_and_time_left() -> None:
    steps = [("fold", 0), ("fold", 25_000), ("fold", 50_000), ("fold", 75_000), ("index", 200_000)]
    assert told(*steps, total=200_000, steps_count=True).splitlines() == [
        "fold: 0 of 200,000",
        "fold: 50,000 of 200,000, 10,000/s, 15 s left",
        "index",
        "at [last] :smile:",
    ]


def test_of_what_is_soon_done_nothing_is_said_where_steps_do_not_count() -> None:
    assert told(("verify", 0), ("verify", 10), total=20, steps_count=False) == "at [last] :smile:\n"
    later = told(("verify", 0), ("verify", 10), ("verify", 20), total=30, steps_count=False)
    assert later == "verify: 20 of 30, 4/s, 2 s left\nat [last] :smile:\n"


def test_on_a_terminal_it_is_a_bar_with_its_rate_and_lines_stand_above_it() -> None:
    steps = [("fold", 0), ("fold", 25_000), ("fold", 50_000)]
    said = told(*steps, total=200_000, steps_count=True, terminal=True)
    assert "50000/200000" in said
    assert "10,000/s" in said
    assert "at [last] :smile:\n" in said
