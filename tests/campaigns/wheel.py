"""The wheel as its users get it: `python -m tests.campaigns.wheel` builds it, installs it apart, and runs it there.

It runs as the first process of a namespace, as in a container, where this machine allows that.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import typer

from tests.running import ROOT
from tixxety import __version__
from tixxety.embedded.server import EmbeddedPostgres

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
# The last name is ours alone.
PACKAGES = ("domain", "eventstore", "projections", "auditing", "accounts", "api", "workers", "tixxety")
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")
NAMESPACES = (NAMESPACE, (*NAMESPACE, "--user", "--map-root-user"))


def main() -> None:
    """Raises AssertionError, or CalledProcessError, for what does not work."""
    with tempfile.TemporaryDirectory(prefix="tixxety-wheel-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        tracked = run("git", "ls-files", folder=ROOT).splitlines()
        wheel = built(tracked, folder)
        check_files(tracked, wheel)
        installed = install(wheel, folder / "environment")
        check_runs(installed, folder)


def built(tracked: Sequence[str], folder: Path) -> Path:
    """The wheel, made from a copy of what is committed: a clone's `build` may hold files of long ago."""
    for file in tracked:
        (folder / "clone" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / "clone" / file)
    name = run(sys.executable, "-c", BUILD, str(folder), folder=folder / "clone").splitlines()[-1]
    return folder / name


def check_files(tracked: Sequence[str], wheel: Path) -> None:
    """Nothing of the packages may be missing, nor anything else be in it."""
    wanted = {file for file in tracked if file.split("/")[0] in PACKAGES}
    there = {file for file in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in file}
    assert there == wanted, f"{wheel.name} lacks {sorted(wanted - there)} and should not have {sorted(there - wanted)}"
    typer.echo(f"{wheel.name} has the {len(there)} files of {', '.join(PACKAGES)}.")


def install(wheel: Path, place: Path) -> Path:
    """Its `tixxety`, in an environment with nothing else in it but what the image's lock says."""
    venv.create(place, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "--quiet", "--no-input")
    run(*pip, "install", "--no-deps", "--require-hashes", "-r", str(ROOT / "requirements-image.lock"), folder=ROOT)
    run(*pip, "install", "--no-deps", "--no-index", str(wheel), folder=ROOT)
    return place / "bin" / "tixxety"


def check_runs(tixxety: Path, folder: Path) -> None:
    """It says its version, makes a schema and finds that well; also where other packages are called as ours."""
    first = as_first_process()
    strangers = folder / "strangers"
    for name in PACKAGES[:-1]:
        (strangers / name).mkdir(parents=True)
        (strangers / name / "__init__.py").write_text("raise SystemExit('a stranger')")
    said = f"tixxety {__version__}"
    assert run(*first, str(tixxety), "--version", folder=folder).strip() == said
    assert run(str(tixxety), "--version", folder=strangers, PYTHONPATH=str(strangers)).strip() == said
    server = EmbeddedPostgres(folder / "home", durable=False)
    try:
        url = server.start()
        for command, word in (("migrate", "current"), ("verify", "All is well")):
            assert word in run(*first, str(tixxety), command, folder=strangers, DATABASE_URL=url)
    finally:
        server.discard()
    typer.echo(f"Installed apart it says its version, migrates and verifies{' as the first process' if first else ''}.")


def as_first_process() -> Sequence[str]:
    """What makes a command the first process of a namespace; nothing, with a sentence, where that is not allowed."""
    if shutil.which(NAMESPACE[0]):
        for command in NAMESPACES:
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    typer.echo("This machine lets nobody be the first process of a namespace: tried as a process among others.")
    return ()


def run(*command: str, folder: Path, **environment: str) -> str:
    """What a command prints, which must go well; it sees the settings given here and no others."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=inherited | environment, stdout=subprocess.PIPE, text=True, check=True, timeout=600
    )
    return done.stdout


if __name__ == "__main__":
    main()
