"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from projections.progress_callback import ProgressCallback

LINE_SECONDS = 5.0


class Rate(ProgressColumn):
    """How much is done a second, once that is known."""

    def render(self, task: Task) -> Text:
        """The column's text."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class Report:
    """How far something is, step by step. On a terminal it is a bar, and gone at the end.

    Elsewhere it is a line every five seconds, and one for each new step where `steps_count`.
    """

    def __init__(self, console: Console, clock: Callable[[], float] | None = None, *, steps_count: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
        lines = not console.is_terminal
        self.bar = Progress(*columns, console=console, get_time=clock, transient=True, disable=lines)
        self.steps_count = steps_count
        self.line_at = self.bar.get_time() + LINE_SECONDS

    def tell(self, step: str, done: int, total: int | None) -> None:
        """So much of the step is done; a total may move meanwhile."""
        begins = [task.description for task in self.bar.tasks] != [step]
        if begins:
            for task_id in self.bar.task_ids:
                self.bar.remove_task(task_id)
            self.bar.add_task(step, total=total, completed=done)
        (task,) = self.bar.tasks
        task.total = total  # `update` would forget the speed when it changes
        self.bar.update(task.id, completed=done)
        now = self.bar.get_time()
        if self.bar.disable and (now >= self.line_at or (begins and self.steps_count)):
            self.line_at = now + LINE_SECONDS
            self.say(line_of(task))

    def say(self, line: str) -> None:
        """One line, above the bar where there is one."""
        self.bar.console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


def line_of(task: Task) -> str:
    """How far it is, its rate, and the seconds that are left as far as that is known."""
    if task.finished and not task.speed:
        return task.description
    line = f"{task.description}: {task.completed:,.0f} of {task.total or 0:,.0f}"
    return f"{line}, {task.speed:,.0f}/s, {(task.remaining or 0) / task.speed:,.0f} s left" if task.speed else line


@contextmanager
def reporting(*, steps_count: bool = True) -> Iterator[Report]:
    """A report for the duration of the block."""
    report = Report(Console(stderr=True), steps_count=steps_count)
    with report.bar:
        yield report


@contextmanager
def progress_bar(doing: str) -> Iterator[ProgressCallback]:
    """A report of one step; call what it gives with how much is done, and of how much. Nothing of what is soon done."""
    with reporting(steps_count=False) as report:
        report.tell(doing, 0, None)
        yield partial(report.tell, doing)
