"""`tixxety export` and `tixxety verify --file`: files are whole or not there, and what is wrong is one sentence."""

import asyncio
import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import typer

from eventstore.postgres.connections import WORKER_ROLE, connect
from projections.exporting.table_export import TableUnknown
from tests.auditing.sealed_histories import sealed_history
from tests.running import ROOT
from tests.tixxety.forked import run_command as tixxety
from tixxety.commands.export import export
from tixxety.commands.verify import verify
from tixxety.entry_point import sentence_of
from tixxety.errors import FileUnwritable, WrongArgument
from tixxety.processes.stop_signals import StopRequested
from tixxety.terminal.atomic_files import written_whole


@pytest.fixture
def sealed_url(database_url: str) -> str:
    """A box office with a history that is sealed but for its end."""

    async def fill() -> None:
        async with await connect(database_url, role=WORKER_ROLE) as connection:
            await sealed_history(connection, seed=1, commands=60)

    asyncio.run(fill())
    return database_url


def test_what_is_exported_is_verified_where_there_is_no_database(sealed_url: str, tmp_path: Path) -> None:
    file = tmp_path / "history.ndjson"
    done = tixxety("export", "--to", str(file), DATABASE_URL=sealed_url)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{file} has ")
    nowhere = {"DATABASE_URL": "no URL at all", "TIXXETY_HOME": str(tmp_path / "home")}
    verified = tixxety("verify", "--json", "--file", str(file), **nowhere)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert json.loads(verified.stdout)["ok"]
    assert list(tmp_path.iterdir()) == [file]


def test_the_checker_that_is_written_beside_an_export_checks_it(sealed_url: str, tmp_path: Path) -> None:
    file, beside = tmp_path / "history.ndjson", tmp_path / "history.ndjson.checker.py"
    done = tixxety("export", "--with-checker", "--to", str(file), DATABASE_URL=sealed_url)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(f"{beside} checks it: python3 {beside} {file}\n")
    assert sorted(tmp_path.iterdir()) == [file, beside]

    def checked() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(beside), str(file)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert (checked().returncode, checked().stderr) == (0, "")
    file.write_text(file.read_text().replace('"quantity":', '"quantity":1'))
    assert (checked().returncode, checked().stderr) == (1, "")


def test_parquet_is_for_analysis_and_verify_says_what_proves(sealed_url: str, tmp_path: Path) -> None:
    file = tmp_path / "history.parquet"
    done = tixxety("export", "--format", "parquet", "--to", str(file), DATABASE_URL=sealed_url)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("domain events and nothing that proves them.\n")
    verified = tixxety("verify", "--file", str(file))
    assert (verified.returncode, verified.stdout) == (2, "")
    told = f"tixxety: {file} is Parquet, which is for analysis: only an export as NDJSON proves itself.\n"
    assert verified.stderr == told


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe can't be told how much it holds")
def test_a_reader_who_has_seen_enough_ends_the_export(sealed_url: str) -> None:
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": sealed_url, "TIXXETY_NO_VENV": "1"}
    reading, writing = os.pipe()
    # Less than the export, or it might be done before its reader has left.
    assert fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4_096) == 4_096
    command = [sys.executable, "-m", "tixxety", "export"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE) as export:
        os.close(writing)
        assert os.read(reading, 10) == b'{"kind":"e'
        os.close(reading)
        assert export.stderr is not None
        assert (export.stderr.read(), export.wait()) == (b"", 128 + signal.SIGPIPE)


def test_a_table_goes_to_standard_output_and_its_position_beside_it(
    sealed_url: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("DATABASE_URL", sealed_url)
    export(table="events", form="csv")
    said = capfdbinary.readouterr()
    assert said.out.startswith(b"event_id,organiser_id,title,")
    assert said.err == b"events has 0 rows at position 0.\n"


def test_a_view_is_exported_like_a_table(
    sealed_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", sealed_url)
    for form in ("csv", "ndjson", "parquet"):
        export(table="conversion", form=form, to=tmp_path / form)
        assert capfd.readouterr().err.endswith("conversion has 0 rows at position 0.\n")
    assert (tmp_path / "csv").read_text().startswith("event_id,ticket_type_id,placed,")
    assert json.loads((tmp_path / "ndjson").read_text()) == {"kind": "table", "table": "conversion", "position": 0}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"event": uuid4()}, "There is no event .* in the history."),
        ({"form": "xml"}, "There is no format xml for this: choose one of ndjson, parquet, cloudevents."),
        ({"form": "parquet"}, "Parquet is written to a file: name one with --to."),
        ({"form": "csv"}, "There is no format csv for this"),
        ({"table": "conversions"}, "There is no table or view conversions: choose one of .*, conversion,"),
        ({"table": "accounts"}, "There is no table or view accounts: choose one of events"),
        ({"table": "events", "form": "cloudevents"}, "There is no format cloudevents for this: choose one of ndjson"),
        ({"table": "events", "event": uuid4()}, "Give --event or --table"),
        ({"with_checker": True, "table": "events"}, "--with-checker goes with the history as NDJSON in a file"),
        ({"with_checker": True, "form": "cloudevents"}, "--with-checker goes with the history as NDJSON in a file"),
        ({"with_checker": True, "to": None}, "--with-checker goes with the history as NDJSON in a file"),
        ({"to": Path("/nowhere/at/all")}, "There is no folder /nowhere/at to write all to."),
        ({"to": Path("/")}, "/ is a folder: name a file in it."),
    ],
)
def test_what_cannot_be_exported_is_one_sentence_and_no_file(
    asked: dict[str, object], sentence: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    with pytest.raises(Exception, match=f"^{sentence}") as failed:
        export(**{"form": "ndjson", "to": None if "form" in asked else tmp_path / "it", **asked})  # type: ignore[arg-type]
    assert "\n" not in str(failed.value)
    assert list(tmp_path.iterdir()) == []
    assert failed.type in (WrongArgument, TableUnknown, FileUnwritable) or "no event" in sentence


def test_an_export_that_is_stopped_leaves_no_file(tmp_path: Path) -> None:
    def stopped() -> None:
        with written_whole(tmp_path / "it") as file:
            file.write(b"a part")
            raise StopRequested(signal.SIGTERM)

    with pytest.raises(StopRequested):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_without_room_is_one_sentence(sealed_url: str, tmp_path: Path) -> None:
    file = tmp_path / "it"
    assert tixxety("export", "--to", str(file), DATABASE_URL=sealed_url).returncode == 0
    # Room for what Python tries a folder with, and no more: compiled modules would be cut at it, and break others.
    few_bytes = 1_000
    environment = {"TIXXETY_NO_VENV": "1", "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tixxety", "verify", "--file", str(file)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (few_bytes, few_bytes)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"tixxety: {tmp_path}")
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_without_room_is_one_sentence_that_says_where() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/nowhere/it")
    assert sentence_of(full).startswith("No space left on device: /nowhere/it.")
    gone = OSError(errno.ENOENT, "No such file or directory", "/nowhere")
    assert sentence_of(gone) == "No such file or directory: /nowhere."


def test_verifying_a_file_since_a_seal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongArgument, match="a file is verified as a whole"):
        verify(file=tmp_path / "it", since_seal=3)


def test_a_report_of_a_file_names_the_keys(
    sealed_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", sealed_url)
    export(to=tmp_path / "it")
    (key,) = [json.loads(line)["kid"] for line in (tmp_path / "it").read_text().splitlines() if '"kind":"key"' in line]
    with pytest.raises(typer.Exit) as ended:
        verify(file=tmp_path / "it")
    said = capsys.readouterr().out
    assert ended.value.exit_code == 0
    assert f"The file's seals are signed with {key}" in said
    assert said.endswith("All is well.\n")
