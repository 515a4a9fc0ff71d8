"""What the figures of a run belong to: the commit, the versions of all that takes part, and the machine."""

import os
import platform
import re
import subprocess
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import psycopg

from bench.testbed import ROOT

OPTIMISED = "--enable-optimizations"
# What ends the name in a requirement.
NAME = re.compile(r"[^A-Za-z0-9._-]")


def provenance(server_url: str) -> dict[str, Any]:
    """Everything that tells this run from another, in words that stay the same from run to run."""
    with psycopg.connect(server_url) as connection:
        ((postgresql,),) = connection.execute("SHOW server_version").fetchall()
    return {
        "commit": commit(ROOT),
        "versions": {
            "python": platform.python_version(),
            "python_is_optimised": OPTIMISED in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
            "postgresql": postgresql,
            "libraries": libraries(ROOT / "pyproject.toml"),
        },
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }


def commit(clone: Path) -> dict[str, Any] | None:
    """The commit that is checked out, and whether files differ from it; None where there is no clone, or no git."""

    def said(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=clone, text=True, stderr=subprocess.DEVNULL).strip()

    try:
        return {"id": said("rev-parse", "HEAD"), "is_changed": bool(said("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def libraries(project: Path) -> dict[str, str]:
    """The version of each library that the project names, as far as it is installed."""
    told = tomllib.loads(project.read_text())["project"]
    named = told["dependencies"] + [line for lines in told["optional-dependencies"].values() for line in lines]
    found = {}
    for name in sorted({NAME.split(line)[0] for line in named}):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
