"""The picture is that of the code, and the page about the architecture names what is there."""

import re

import pytest

from tests.pages.architecture_picture import PICTURE, layers, picture, rooms_of, shortened
from tests.running import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
SECTION = re.compile(r"^## (?P<name>.+?)\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {found["name"]: found["text"] for found in SECTION.finditer(PAGE)}
FILE = re.compile(r"`([\w/]+/[\w.]+\.\w+)`")
ROOM_ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
STEP = re.compile(r"^\d+\. ", re.MULTILINE)


def test_the_picture_is_the_one_that_would_be_drawn() -> None:
    assert PICTURE.read_text() == picture(), "run python -m tests.pages.architecture_picture"


def test_the_picture_has_every_package_and_every_room() -> None:
    packages = [package for layer in layers() for package in layer]
    drawn = re.findall(r'class="(?:package|room)"[^>]*>(\w+)<', picture())
    assert sorted(drawn) == sorted([*packages, *(room.name for package in packages for room in rooms_of(package))])


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("It fits", "It fits"),
        ("Processes that end: children, signals", "Processes that end"),
        ("The server: its programs, its data", "The server: its programs"),
        ("No part of this sentence ends before it", "No part of this sentence …"),
    ],
)
def test_a_long_sentence_ends_where_a_part_of_it_ends(text: str, short: str) -> None:
    assert shortened(text, 27) == short


def test_each_package_says_what_it_may_know() -> None:
    assert ROOM_ROW.findall(SECTIONS["What each may know"]) == [package for layer in layers() for package in layer]


@pytest.mark.parametrize(("way", "files_max"), [("The way of one reservation", 5), ("The way of one read", 3)])
def test_a_way_is_told_in_ten_lines_and_few_files(way: str, files_max: int) -> None:
    files = FILE.findall(SECTIONS[way])
    assert len(STEP.findall(SECTIONS[way])) == 10
    assert 0 < len(set(files)) <= files_max
    assert [file for file in files if not (ROOT / file).is_file()] == []
