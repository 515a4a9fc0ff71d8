"""What reads the OpenAPI document from outside, installed from a lock of its own into an environment of its own."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from tests.running import ROOT

LOCK = ROOT / "requirements-clients.lock"
GUIDE = ROOT / "docs/api.md"
SECONDS_MAX = 600


def environment(place: Path) -> Path:
    """The folder of its programs, `python` among them."""
    venv.create(place, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "--quiet", "--no-input")
    run(*pip, "install", "--no-deps", "--require-hashes", "-r", str(LOCK), folder=ROOT)
    return place / "bin"


def of_guide(program: str) -> str:
    """The command with which the guide for programs has it make a client."""
    (command,) = re.findall(rf"^{program} .*$", GUIDE.read_text(), re.MULTILINE)
    return str(command)


def run(*command: str, folder: Path, **variables: str) -> str:
    """What a command prints, which must go well; it sees these variables beside those that are there."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if "PATH" in variables:
        variables["PATH"] = f"{variables['PATH']}{os.pathsep}{inherited['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=inherited | variables, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
