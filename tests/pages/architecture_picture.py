"""Draws docs/architecture.svg from the import contracts: `python -m tests.pages.architecture_picture`."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "architecture.svg"

# All lengths are in pixels.
WIDTH, MARGIN, GAP = 980, 44, 12
PADDING, HEAD, LINE = 12, 42, 19
NAME = 92
SHOWN_CHARACTERS, WHOLE_CHARACTERS = 56, 100

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.package { font-weight: 600; font-size: 15px }
.room { font-weight: 600 }
.says { fill: #57606a }
rect { fill: #f6f8fa; stroke: #afb8c1 }
path { stroke: #57606a; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .says { fill: #9198a1 }
  rect { fill: #161b22; stroke: #3d444d }
  path { stroke: #9198a1 }
}
"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" role="img"
  viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>The packages of Tixxety: each knows those below it, and none above or beside it</title>
<style>{style}</style>
{parts}
</svg>
"""
ARROW = """<path d="M 22 {top} V {bottom} m -5 -8 l 5 8 l 5 -8"/>
<text class="says" transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">imports point down</text>"""


def layers() -> list[list[str]]:
    """The packages as the contract has them, from the one that knows all others down to the one that knows none."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [
        contract["layers"] for contract in contracts if contract["type"] == "layers" and "domain" in contract["layers"]
    ]
    return [[package.strip() for package in layer.split("|")] for layer in found]


def purpose(folder: Path) -> str:
    """The first line of a package's docstring, without its full stop."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    return docstring.partition("\n")[0].removesuffix(".")


def shortened(text: str, characters: int) -> str:
    """The text, or as much of it as fits: up to a colon or semicolon, else a comma, else the end of a word."""
    if len(text) <= characters:
        return text
    fits = text[: characters + 1]
    for marks, fewest in (((": ", "; "), characters // 2), ((", ",), characters // 3), ((": ",), characters // 3)):
        if (end := max(fits.rfind(mark) for mark in marks)) > fewest:
            return text[:end]
    return f"{text[: fits[:-1].rfind(' ')]} …"


def rooms_of(package: str) -> list[Path]:
    """The sub-packages of a package, in order of their names."""
    return sorted(found.parent for found in (ROOT / package).glob("*/__init__.py"))


def picture() -> str:
    """The whole drawing: a row for each layer, a box for each package, a line for each room in it."""
    parts: list[str] = []
    top = MARGIN // 2
    for packages in layers():
        width = (WIDTH - MARGIN - GAP * len(packages)) // len(packages)
        columns = 2 if len(packages) == 1 else 1
        height = max(_height(package, columns) for package in packages)
        for place, package in enumerate(packages):
            left = MARGIN + place * (width + GAP)
            parts += _box(package, left, top, width, height, columns)
        top += height + GAP
    parts.append(ARROW.format(top=MARGIN // 2, bottom=top - GAP, middle=top // 2))
    return SVG.format(width=WIDTH, height=top + GAP, style=STYLE, parts="\n".join(parts))


def _height(package: str, columns: int) -> int:
    lines = -(-len(rooms_of(package)) // columns)
    return HEAD + PADDING // 2 + lines * LINE + (PADDING // 2 if lines else 0)


def _box(package: str, left: int, top: int, width: int, height: int, columns: int) -> Iterator[str]:
    rooms = rooms_of(package)
    lines = -(-len(rooms) // columns)
    whole = WHOLE_CHARACTERS + SHOWN_CHARACTERS if columns > 1 else SHOWN_CHARACTERS + NAME // 8
    yield f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>'
    yield _text("package", left + PADDING, top + 20, package)
    yield _text("says", left + PADDING, top + 37, shortened(purpose(ROOT / package), whole))
    for number, room in enumerate(rooms):
        x = left + PADDING + number // lines * (width // columns)
        y = top + HEAD + PADDING + 4 + number % lines * LINE
        yield _text("room", x, y, room.name)
        yield _text("says", x + NAME, y, shortened(purpose(room), SHOWN_CHARACTERS))


def _text(kind: str, x: int, y: int, text: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text, quote=False)}</text>'


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture())


if __name__ == "__main__":
    main()
