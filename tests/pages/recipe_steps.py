"""Reads the steps of a page that says what to change in which file, and does them in a copy of the project."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

from tests.running import ROOT

IN_FILE = r"^In `(?P<path>[^`]+)`"
BLOCK = r":\n\n```\w+\n(?P<text>.*?)^```$"
# One backtick around a line, or two where it has some itself.
LINE = r"the line (?P<ticks>`+)(?P<line>[^\n]+?)(?P=ticks)"
ONE_LINE = r"a line (?P<its_ticks>`+)(?P<text>[^\n]+?)(?P=its_ticks)\.$"
FORMS = {
    "make": rf"^In a new file `(?P<path>[^`]+)`{BLOCK}",
    "append": rf"{IN_FILE}, at the end{BLOCK}",
    "insert": rf"{IN_FILE}, (?P<where>before|after) {LINE}{BLOCK}",
    "add": rf"{IN_FILE}, (?P<where>before|after) {LINE}, {ONE_LINE}",
    "replace": rf"{IN_FILE}, in {LINE}, instead of `(?P<old>[^`\n]+)`: `(?P<text>[^`\n]+)`\.$",
    "import": rf"{IN_FILE}, import `(?P<text>\w+)` from `(?P<module>[\w.]+)`\.$",
}
STEP = re.compile(r"^In (?:a new file )?`", re.MULTILINE)
FIRST_IMPORT = re.compile(r"^(from|import) (?!__future__)", re.MULTILINE)
DEFINITION = re.compile(r"(@|class |def |async def )")
NOT_THE_PROJECT = shutil.ignore_patterns(".*", "__pycache__")


class Step(NamedTuple):
    """What to do (one of FORMS) with the file at `path`; `said` is the step's first line in the page."""

    form: str
    path: str
    said: str
    parts: dict[str, str]


def copy_of_the_project(folder: Path) -> Path:
    """All files of the clone, without its history and its environment."""
    shutil.copytree(ROOT, folder, ignore=NOT_THE_PROJECT, dirs_exist_ok=True)
    return folder


def steps_of(page: str) -> list[Step]:
    """The steps in their order. Fails for a step whose form is none of FORMS."""
    return list(_steps(page))


def _steps(page: str) -> Iterator[Step]:
    for begin in STEP.finditer(page):
        rest = page[begin.start() :]
        said = rest.partition("\n")[0]
        matches = {form: re.match(pattern, rest, re.DOTALL | re.MULTILINE) for form, pattern in FORMS.items()}
        found = {form: match for form, match in matches.items() if match}
        assert len(found) == 1, f"no step has this form: {said}"
        for form, match in found.items():
            yield Step(form, match["path"], said, match.groupdict())


def do(step: Step, folder: Path) -> None:
    """Change the copy as the step says. Fails where the file or the line that it names is not there, or there twice."""
    path, parts = folder / step.path, step.parts
    assert path.exists() == (step.form != "make"), f"{step.path} is {'there already' if path.exists() else 'not there'}"
    before = path.read_text() if path.exists() else ""
    lines = before.splitlines(keepends=True)
    match step.form:
        case "make":
            path.parent.mkdir(parents=True, exist_ok=True)
            after = parts["text"]
        case "append":
            after = f"{before}\n\n{parts['text']}"
        case "import":
            first = FIRST_IMPORT.search(before)
            assert first, f"{step.path} imports nothing"
            added = f"from {parts['module']} import {parts['text']}\n"
            after = before[: first.start()] + added + before[first.start() :]
        case "replace":
            place = _place(lines, step)
            assert lines[place].count(parts["old"]) == 1, f"that line of {step.path} has not one {parts['old']}"
            lines[place] = lines[place].replace(parts["old"], parts["text"])
            after = "".join(lines)
        case _:
            place = _place(lines, step)
            indentation = lines[place][: -len(lines[place].lstrip())]
            text = indent(parts["text"].rstrip("\n") + "\n", indentation)
            # A definition stands apart from what it is put beside.
            apart = ("\n" if indentation else "\n\n") if DEFINITION.match(parts["text"]) else ""
            if parts["where"] == "before":
                lines.insert(place, text + apart)
            else:
                lines.insert(place + 1, apart + text)
            after = "".join(lines)
    path.write_text(after)


def _place(lines: list[str], step: Step) -> int:
    beginning = step.parts["line"]
    places = [number for number, line in enumerate(lines) if line.lstrip().startswith(beginning)]
    assert len(places) == 1, f"{len(places)} lines of {step.path} begin with {beginning}"
    return places[0]
