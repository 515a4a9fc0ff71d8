"""The checker that goes with an export judges as `verify --file` does, and needs nothing but one package."""

import ast
import json
import random
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from auditing.export import checker
from auditing.verify.checks.kept_seal import newest
from eventstore.postgres.connections import Connection
from eventstore.seals import seal_keys, seals
from tests.auditing.sealed_histories import as_cloud_events, as_ndjson, sealed_history
from tests.auditing.verify.test_verify_file import with_end
from tests.campaigns.export_tampering import any_change, exports, forgery, what_is_found, what_the_checker_finds
from tests.projections.histories import append

SOURCE = Path(checker.__file__)
# Runs a file with these folders as all that can be imported beside the standard library.
RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ROUNDS = 60

Checked = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def one_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `pip install cryptography` brings, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            place = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
            (folder / place.name).symlink_to(place)
    return folder


@pytest.fixture
def checked(one_package: Path, tmp_path: Path) -> Checked:
    """Checks an export where nothing of ours can be imported; the exit code, and what is said."""
    own = tmp_path / "apart"
    own.mkdir()
    (own / "checker.py").write_bytes(SOURCE.read_bytes())

    def check(content: bytes, kept: bytes | None = None, path: Path = one_package) -> tuple[int, str]:
        (own / "export").write_bytes(content)
        (own / "seal").write_bytes(kept or b"")
        more = ["--seal", str(own / "seal")] if kept is not None else []
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            RUN,
            str(path),
            str(own / "checker.py"),
            str(own / "export"),
            *more,
        ]
        done = subprocess.run(command, cwd=own, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    return check


def test_it_imports_nothing_but_the_standard_library_and_one_package() -> None:
    names = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module or "")
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}


async def test_what_is_whole_is_well_where_there_is_nothing_but_one_package(
    connection: Connection, database_url: str, checked: Checked
) -> None:
    box_office = await sealed_history(connection, seed=21)
    last = await seals.newest(connection)
    assert last
    code, said = checked(await as_ndjson(database_url))
    assert (code, said.splitlines()[-1]) == (0, "All is well.")
    assert f"Sealed up to position {last.last_position:,};" in said
    assert all(key["kid"] in said for key in await seal_keys.published(connection))
    for event_id in box_office.events[:3]:
        code, said = checked(await as_ndjson(database_url, event_id))
        assert (code, said.splitlines()[-1]) == (0, "All is well.")
        assert f"of the event {event_id}, as it was at" in said


async def test_an_empty_history_is_well(database_url: str, checked: Checked) -> None:
    assert checked(await as_ndjson(database_url))[0] == 0


async def test_without_its_package_it_says_which_and_could_not_look(
    database_url: str, checked: Checked, tmp_path: Path
) -> None:
    told = "This needs the package cryptography: python3 -m pip install cryptography\n"
    assert checked(await as_ndjson(database_url), path=tmp_path / "nothing") == (2, told)


async def test_it_judges_every_tampering_as_verify_does(database_url: str, tmp_path: Path) -> None:
    made = await exports(database_url, seed=22)
    dice, path = random.Random(22), tmp_path / "export"
    for content in made:
        path.write_bytes(content)
        assert (what_the_checker_finds(path), what_is_found(path)) == (None, None)
    missed = []
    for _ in range(ROUNDS):
        what, content = dice.choice([any_change, forgery])(dice.choice(made), dice)
        path.write_bytes(content)
        if what_the_checker_finds(path) is None or what_is_found(path) is None:
            missed.append((what, what_the_checker_finds(path), what_is_found(path)))
    assert missed == []


async def test_each_fault_is_a_sentence_of_its_own(connection: Connection, database_url: str, checked: Checked) -> None:
    box_office = await sealed_history(connection, seed=23)
    whole, of_event = await as_ndjson(database_url), await as_ndjson(database_url, box_office.events[0])
    told = whole.splitlines(keepends=True)
    row = next(n for n, line in enumerate(told) if b'"type":"TicketsHeld"' in line)
    seal = next(n for n, line in enumerate(told) if b'"kind":"seal"' in line)
    position = json.loads(told[row])["position"]
    altered = [*told[:row], told[row].replace(b'"quantity":', b'"quantity":1'), *told[row + 1 : -1]]
    for content, sentence in (
        (with_end(b"".join(altered)), f"something was altered or is not there, from {position:,} on."),
        (with_end(b"".join([*told[:row], *told[row + 1 : -1]])), "is missing."),
        (with_end(b"".join([*told[:seal], *told[seal + 1 : -1]])), "Seal 2 comes after seal 0."),
        (with_end(b"".join([told[0], *told[2:-1]])), "Seal 1 is not signed with a key that the file has"),
        (whole.replace(b"Concert", b"Konzert").replace(b'"hold_seconds":10', b'"hold_seconds":99'), "NOT WELL: "),
        (of_event.replace(str(box_office.events[0]).encode(), str(box_office.events[1]).encode(), 1), "not about the"),
    ):
        code, said = checked(content)
        assert (code, sentence in said) == (1, True), said
    for content, sentence in (
        (b"", "The file is no export, or was cut: it ends without its last line."),
        (b"".join(told[:-1]), "was cut: it ends without its last line."),
        (whole[:-9], f"Line {len(told):,} is none of an export as it is written, or was cut."),
        (await as_cloud_events(database_url), "Line 1 is none of an export"),
        (b"".join(told[1:]), "Line 1 may not be of the kind key there."),
        (whole + told[row], f"Line {len(told) + 1:,} may not be of the kind domain-event there."),
        (whole.replace(b'"format_version":1', b'"format_version":2'), "has a format that this program does not read."),
    ):
        code, said = checked(content)
        assert (code, sentence in said, len(said.splitlines())) == (2, True, 1), said


async def test_a_kept_seal_is_held_against_the_files(
    connection: Connection, database_url: str, checked: Checked
) -> None:
    box_office = await sealed_history(connection, seed=24, commands=40)
    before = await as_ndjson(database_url)
    kept = msgspec.json.encode(await newest(connection))
    assert checked(before, kept)[0] == 0
    for _ in range(2):
        await append(connection, box_office.commands(3))
        await seals.seal_next(connection)
    later = msgspec.json.encode(await newest(connection))
    code, said = checked(before, later)
    assert (code, "which was kept, is gone." in said) == (1, True)
    await connection.execute("RESET ROLE")
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("DELETE FROM seals")
    await seal_keys.rotate(connection)
    while await seals.seal_next(connection):
        pass
    made_again = await as_ndjson(database_url)
    assert checked(made_again)[0] == 0
    assert checked(made_again, later)[0] == 1
    code, said = checked(before, b"{}")
    assert (code, said.endswith("seal holds no seal.\n")) == (2, True)


async def test_a_file_without_the_kept_seal_says_nothing_about_it(
    connection: Connection, database_url: str, checked: Checked
) -> None:
    box_office = await sealed_history(connection, seed=10)
    told = {True: 0, False: 0}
    kept = await newest(connection)
    assert kept
    for event_id in box_office.events:
        exported = await as_ndjson(database_url, event_id)
        there = {json.loads(line)["number"] for line in exported.splitlines() if b'"kind":"seal"' in line}
        is_there = bool({kept.number, kept.number - 1} & there)
        told[is_there] += 1
        code, said = checked(exported, msgspec.json.encode(kept))
        assert (code, "by which the kept one could be judged" in said) == ((0, False) if is_there else (2, True))
    assert all(told.values())


def test_a_file_that_is_not_there_is_one_sentence(one_package: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", RUN, str(one_package), str(SOURCE), str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_exports_that_were_cut_anywhere_are_told(tmp_path: Path) -> None:
    path = tmp_path / "export"
    for content in (
        b"{",
        b"PAR1",
        b"\xff\xfe",
        b"null\n",
        b"[]\n",
        b'{"kind":"end"}\n',
        b'{"kind":[]}\n',
        b"[" * 100_000,
    ):
        path.write_bytes(content)
        assert what_the_checker_finds(path), content
