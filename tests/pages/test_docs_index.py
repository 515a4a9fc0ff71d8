"""The index of the documentation has a line for every page."""

import re

from tests.running import ROOT

DOCS = ROOT / "docs"
LINE = re.compile(r"^- \[[^]]+\]\(([\w./-]+)\): .+\.$", re.MULTILINE)


def test_every_page_is_in_the_index_once() -> None:
    index = (DOCS / "README.md").read_text()
    listed = [link for link in LINE.findall(index) if not link.startswith("../")]
    # The decisions have an index of their own.
    pages = [path.name for path in DOCS.glob("*.md") if path.name != "README.md"]
    assert sorted(listed) == sorted([*pages, "decisions/README.md"])
