"""The command line explains itself without loading what its commands need, and loads the one that was typed alone."""

import os
import re
import subprocess
import sys
from importlib import import_module
from subprocess import CompletedProcess

import pytest

from tests.running import ROOT
from tests.tixxety.forked import run_command
from tixxety import __version__
from tixxety.commands.all_commands import COMMANDS, READ_BY_THEMSELVES, module_of

LIBRARIES = {"asyncio", "cryptography", "fastapi", "jwt", "psycopg", "pydantic", "rich", "structlog", "uvicorn"}
THEN_TELL = """
import atexit, sys
atexit.register(lambda: sys.stderr.write(" ".join(sys.modules)))
from tixxety.bootstrap import run_command_line
run_command_line()
"""


def run(*words: str) -> "CompletedProcess[str]":
    """Run Python with these words."""
    environment = {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def loaded_by(*arguments: str) -> tuple[set[str], set[str]]:
    """The libraries, and the modules of commands, that the command line has loaded at its end."""
    done = run("-c", THEN_TELL, *arguments)
    assert done.returncode == 0, done.stderr
    modules = set(done.stderr.split())
    return LIBRARIES & modules, {module_of(name) for name in COMMANDS} & modules


def test_version_is_the_packages() -> None:
    assert run("-m", "tixxety", "--version").stdout == f"tixxety {__version__}\n"


def test_help_names_every_command_in_whole_sentences() -> None:
    said = run_command("--help").stdout
    assert re.findall(r"^  ([a-z-]+)  ", said.partition("Commands:")[2], re.MULTILINE) == list(COMMANDS)
    assert all(sentence in " ".join(said.split()) for sentence in COMMANDS.values())


def test_without_a_command_the_help_is_an_error() -> None:
    done = run_command()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: tixxety ")


def test_help_loads_no_command_and_nothing_that_they_need() -> None:
    assert loaded_by("--help") == (set(), set())


@pytest.mark.parametrize(("command", "beside"), [("analyst-url", set()), ("migrate", {"cryptography", "jwt"})])
def test_a_command_is_loaded_alone_and_with_what_it_needs(command: str, beside: set[str]) -> None:
    libraries, commands = loaded_by(command, "--help")
    assert commands == {module_of(command)}
    assert libraries == {"asyncio", "psycopg", "pydantic"} | beside


@pytest.mark.parametrize("command", COMMANDS)
def test_the_line_of_a_command_is_the_first_sentence_of_its_docstring(command: str) -> None:
    name = "main" if command in READ_BY_THEMSELVES else command.replace("-", "_")
    docstring = getattr(import_module(module_of(command)), name).__doc__
    assert docstring.partition("\n")[0] == COMMANDS[command]


@pytest.mark.parametrize("typed", [["upp"], ["serve", "--port", "many"], ["grant"], ["migrate", "--hom", "x"]])
def test_what_was_typed_wrong_is_one_sentence(typed: list[str]) -> None:
    done = run_command(*typed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("tixxety: ")
