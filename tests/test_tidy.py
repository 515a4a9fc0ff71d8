"""The house rules a machine can check: sizes, words, docstrings, what may be where. No list of exceptions."""

import ast
import gc
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("domain", "eventstore", "projections", "auditing", "accounts", "api", "workers", "tixxety")
CODE_LINES, TEST_LINES, FUNCTION_LINES, SCREEN_LINES, ROOM_FILES = 300, 400, 50, 40, 16
GLOSSARY_ROW = re.compile(r"^\| (?!word |---)(?P<word>[^|]+) \|.*\| (?P<banned>[^|]*)\|$", re.MULTILINE)
NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|HAC[K])\b")
SCHEMA_IN_QUERY = re.compile(r"\b(FROM|JOIN|INTO|UPDATE|TABLE|ON)\s+(tixxety|projections)\.\w")
# Roles, schemas, channels and locks of the default box office, where only those of the box office at hand are meant.
NAME_OF_DEFAULT = re.compile(
    r"\btixxety_(app|worker|analyst)\b|\bprojections_(next|old)\b|\b726[12]\b"
    r"|'(tixxety|projections)'::regnamespace|Identifier\(\"(tixxety|projections)\""
    r"|\b(SCHEMA|search_path(\"?:| =| TO)) [\"']?(tixxety|projections)\b"
)
CHANNEL_OR_LOCK = re.compile(r"LISTEN \w|pg_notify\('|advisory_(xact_)?lock(_shared)?\( *\d")
SOMEBODYS_PATH = re.compile(r"(?<![\w.])/(root|work|home/\w+|Users/\w+|tmp/\w+)/")
SQL_COMMENT_OR_TEXT = re.compile(r"--[^\n]*|'[^']*'")

CODE = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))
SQL = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.sql"))

Finding = str
Function = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture(scope="module", autouse=True)
def _trees() -> Iterator[None]:
    """A hundred megabytes that the collector would look through again and again, and who follows has no use for."""
    gc.disable()
    yield
    parsed.cache_clear()
    nodes_of.cache_clear()
    gc.enable()


def test_files_are_short() -> None:
    limits = dict.fromkeys(CODE + BENCH + SQL, CODE_LINES) | dict.fromkeys(TESTS, TEST_LINES)
    lengths = {path: len(path.read_text().splitlines()) for path in limits}
    assert [f"{place(path)}: {lengths[path]} lines" for path in limits if lengths[path] >= limits[path]] == []


def test_no_room_is_a_corridor() -> None:
    rooms = Counter(path.parent for path in CODE + BENCH + TESTS + SQL)
    assert [f"{place(room)} has {files} files" for room, files in rooms.items() if files > ROOM_FILES] == []


def test_functions_are_short() -> None:
    def too_long(tree: ast.Module) -> Iterator[Finding]:
        for node in functions(tree):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines >= FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines"

    assert findings(CODE + BENCH + TESTS, too_long) == []


def test_no_function_within_another_calls_itself() -> None:
    """Each call of the outer one would leave a cycle, which keeps all that it has seen until the collector comes."""

    def cycles(tree: ast.Module) -> Iterator[Finding]:
        for outer in functions(tree):
            for inner in ast.walk(outer):
                if inner is outer or not isinstance(inner, Function):
                    continue
                called = (node.func for node in ast.walk(inner) if isinstance(node, ast.Call))
                if any(isinstance(name, ast.Name) and name.id == inner.name for name in called):
                    yield f"{inner.lineno}: {inner.name}"

    assert findings(CODE, cycles) == []


def test_every_module_says_in_one_line_what_it_is_for() -> None:
    def untold(tree: ast.Module) -> Iterator[Finding]:
        first, _, rest = (ast.get_docstring(tree) or "").partition("\n")
        if tree.body and (not first.endswith((".", "?", "!")) or (rest and not rest.startswith("\n"))):
            yield "1: its docstring's first line is no sentence of its own"

    assert findings(CODE + BENCH + TESTS, untold) == []


def test_every_public_function_says_what_it_gives() -> None:
    def untold(tree: ast.Module) -> Iterator[Finding]:
        for node in tree.body:
            is_public = isinstance(node, Function) and not node.name.startswith("_")
            if is_public and ast.get_docstring(node) is None:
                yield f"{node.lineno}: {node.name} has no docstring"

    assert findings(CODE + BENCH, untold) == []


def test_no_broad_handler_goes_on_in_silence() -> None:
    """Whoever catches everything raises, logs or tells it: there is a call or a raise in its block."""

    def silent(tree: ast.Module) -> Iterator[Finding]:
        for node in nodes_of(tree):
            if isinstance(node, ast.ExceptHandler) and catches_everything(node.type):
                if not any(isinstance(inner, ast.Raise | ast.Call) for one in node.body for inner in ast.walk(one)):
                    yield f"{node.lineno}: the handler says nothing"
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                yield from (f"{node.lineno}: suppresses all" for one in node.args if catches_everything(one))

    assert findings(CODE + BENCH, silent) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = []
    for path in committed():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{place(path)}:{number}" for number, line in enumerate(lines, 1) if SOMEBODYS_PATH.search(line)]
    assert found == []


def test_every_decision_is_listed_and_fits_on_one_screen() -> None:
    decisions = ROOT / "docs/decisions"
    pages = sorted(path for path in decisions.rglob("*.md") if path.name != "README.md")
    index = (decisions / "README.md").read_text()
    listed = sorted(re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", index, re.MULTILINE))
    assert listed == sorted(str(path.relative_to(decisions)) for path in pages)
    lengths = {place(path): len(path.read_text().splitlines()) for path in pages}
    assert {name: length for name, length in lengths.items() if length > SCREEN_LINES} == {}


def test_names_keep_to_the_glossary() -> None:
    _, classes = banned_by_the_glossary()

    def foreign(tree: ast.Module) -> Iterator[Finding]:
        for line, name in defined_names(tree):
            yield from (f"{line}: {name} says {word}" for word in foreign_words(name))
        for node in nodes_of(tree):
            if isinstance(node, ast.ClassDef) and node.name in classes:
                yield f"{node.lineno}: class {node.name}"

    assert findings(CODE + BENCH + TESTS, foreign) == []
    files = CODE + BENCH + TESTS + SQL
    assert [f"{place(path)} says {word}" for path in files for word in foreign_words(path.stem)] == []


def test_tables_keep_to_the_glossary() -> None:
    found = []
    for path in SQL:
        names = set(re.findall(r"\b[a-z][a-z_0-9]*\b", SQL_COMMENT_OR_TEXT.sub("", path.read_text())))
        found += [f"{place(path)}: {name} says {word}" for name in sorted(names) for word in foreign_words(name)]
    assert found == []


def test_the_glossary_bans_something() -> None:
    words, classes = banned_by_the_glossary()
    assert {"booking", "user"} <= words
    assert "Event" in classes
    assert says("newBooking", "booking")
    assert says("TICKET_CATEGORIES_category_ticket_category_id", "ticket_category")
    assert not says("username", "user")


def test_nothing_is_left_unfinished() -> None:
    def unfinished(tree: ast.Module) -> Iterator[Finding]:
        for node in nodes_of(tree):
            if isinstance(node, ast.Name) and node.id == "NotImplemented" + "Error":
                yield f"{node.lineno}: not implemented"

    comments = []
    for path in CODE + BENCH + TESTS:
        # Telling comments from texts is slow, and hardly a file has such a word at all.
        if UNFINISHED.search(path.read_text()):
            with path.open("rb") as source:
                tokens = [token for token in tokenize.tokenize(source.readline) if token.type == tokenize.COMMENT]
            comments += [f"{place(path)}:{token.start[0]}" for token in tokens if UNFINISHED.search(token.string)]
    assert comments == []
    assert findings(CODE, unfinished) == []


def test_no_test_sleeps_but_to_look_again() -> None:
    """`time.sleep` never; `asyncio.sleep` only in a loop that waits for a condition, or to give way (0)."""

    def sleeps(tree: ast.Module) -> Iterator[Finding]:
        nodes = nodes_of(tree)
        asleep = any(isinstance(node, ast.Attribute) and node.attr == "sleep" for node in nodes)
        loops = [node for node in nodes if asleep and isinstance(node, ast.For | ast.While | ast.AsyncFor)]
        in_loop = {id(inner) for loop in loops for inner in ast.walk(loop)}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and any(alias.name == "sleep" for alias in node.names):
                yield f"{node.lineno}: imports sleep by name"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
                gives_way = [ast.unparse(argument) for argument in node.args] == ["0"]
                module = ast.unparse(node.func.value)
                if module == "time" or not (gives_way or id(node) in in_loop):
                    yield f"{node.lineno}: {ast.unparse(node)}"

    assert findings(TESTS, sleeps) == []


def test_only_the_command_line_reads_the_environment() -> None:
    def reads(tree: ast.Module) -> Iterator[Finding]:
        for node in nodes_of(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb"):
                yield f"{node.lineno}: {ast.unparse(node)}"
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                yield from (f"{node.lineno}: {a.name}" for a in node.names if a.name in ("environ", "getenv"))

    assert findings([path for path in CODE if path.relative_to(ROOT).parts[0] != "tixxety"], reads) == []


def test_no_query_names_a_schema() -> None:
    found = []
    for path in CODE + SQL:
        lines = path.read_text().splitlines()
        found += [f"{place(path)}:{n}: {text}" for n, text in enumerate(lines, 1) if SCHEMA_IN_QUERY.search(text)]
    assert found == []


def test_nothing_is_called_after_the_default_box_office_but_by_its_value() -> None:
    found = []
    for path in CODE + SQL + BENCH:
        if path == ROOT / "eventstore/box_office.py":
            assert NAME_OF_DEFAULT.search(path.read_text())
            continue
        for number, text in enumerate(path.read_text().splitlines(), 1):
            if NAME_OF_DEFAULT.search(text) or (path.suffix == ".py" and CHANNEL_OR_LOCK.search(text)):
                found.append(f"{place(path)}:{number}: {text.strip()}")
    assert found == []


def test_imports_point_one_way() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    if not program.exists():
        pytest.fail(f"import-linter is not installed beside {sys.executable}")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def findings(paths: list[Path], look: Callable[[ast.Module], Iterator[Finding]]) -> list[Finding]:
    """What `look` finds in each file, with the file's name before it."""
    assert paths
    return [f"{place(path)}:{finding}" for path in paths for finding in look(parsed(path))]


@cache
def parsed(path: Path) -> ast.Module:
    """The file's tree: to parse all of them takes a second and a half, and most rules look at all."""
    return ast.parse(path.read_text())


@cache
def nodes_of(tree: ast.Module) -> list[ast.AST]:
    """All that is in a tree: to walk through all trees takes longer than to parse them."""
    return list(ast.walk(tree))


def committed() -> list[Path]:
    """What the repository holds; all files there are where it was copied without its history."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or CODE + TESTS + BENCH + SQL + list((ROOT / "docs").rglob("*.md"))
    return [path for path in paths if path.is_file()]


def catches_everything(caught: ast.expr | None) -> bool:
    """Whether `except` with this catches whatever there is."""
    names = {node.id for node in ast.walk(caught) if isinstance(node, ast.Name)} if caught else {"BaseException"}
    return not names.isdisjoint({"Exception", "BaseException"})


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in nodes_of(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def banned_by_the_glossary() -> tuple[set[str], set[str]]:
    """The words no name may contain, and the names no class may have."""
    rows = GLOSSARY_ROW.finditer((ROOT / "docs/glossary.md").read_text())
    terms = {term for row in rows for term in re.findall(r"`([^`]+)`", row["banned"])}
    return {term for term in terms if term.islower()}, {term for term in terms if not term.islower()}


def defined_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The names that a module gives, with their lines; names that it only uses belong to others."""
    for node in nodes_of(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


@cache
def foreign_words(name: str) -> list[str]:
    """The words that the glossary bans and a name says."""
    words, _ = banned_by_the_glossary()
    return [word for word in words if says(name, word)]


def says(name: str, word: str) -> bool:
    """Whether a snake-case or camel-case name contains a word, in the singular or the plural."""
    # Most names don't even have its letters, and to take each apart is slow.
    if word.replace("_", "") not in name.replace("_", "").lower():
        return False
    parts = [part.lower() for part in NAME_PART.findall(name)]
    wanted = word.split("_")
    plural = [*wanted[:-1], wanted[-1] + "s"]
    windows = [parts[i : i + len(wanted)] for i in range(len(parts) - len(wanted) + 1)]
    return wanted in windows or plural in windows
