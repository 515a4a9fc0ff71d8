"""The home: the folder that holds what `tixxety` keeps on one machine without a DATABASE_URL."""

import fcntl
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import platformdirs

from tixxety.errors import Failure
from tixxety.terminal.atomic_files import sync_folder

LOCKS = ("up.lock", "server.lock")


def default_home() -> Path:
    """The user's data folder: `~/.local/share/tixxety` on Linux."""
    return Path(platformdirs.user_data_dir("tixxety", appauthor=False))


@dataclass(frozen=True)
class Home:
    """One folder, with its locks and its secrets."""

    path: Path

    def make(self) -> None:
        """Make the folder where needed, and close it to others; one that holds what is not ours is left as it is.

        Root's stays passable: PostgreSQL runs under another account, and its data lies in the home where it can.
        """
        allowed = 0o711 if os.geteuid() == 0 else 0o700
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True, exist_ok=True)
                self.path.chmod(allowed)
            elif self._is_ours():
                # Only ever closed: where the data of root's server lies depends on who may pass.
                self.path.chmod(stat.S_IMODE(self.path.stat().st_mode) & allowed)
        except OSError as error:
            raise self.unusable(error) from None

    def _is_ours(self) -> bool:
        """Whether this is a home already or about to be one, and not some folder that others use too, such as /tmp."""
        status = self.path.stat()
        empty = not any(self.path.iterdir())
        ours = empty or any((self.path / name).exists() for name in LOCKS)
        return ours and status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX

    def unusable(self, error: OSError) -> Failure:
        """The failure to raise when the folder cannot be used."""
        return Failure(f"The home {self.path} cannot be used ({error.strerror}); choose another with --home.")

    def lock(self, name: str, *, shared: bool = False) -> IO[str] | None:
        """Take a lock until the returned file is closed or this process dies; None where another process has it."""
        try:
            handle = open_private(self.path / name)
        except OSError as error:
            raise self.unusable(error) from None
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        return handle

    def secret(self, name: str) -> str:
        """A random text of 43 characters, made at the first call and then kept, readable by its owner only."""
        path = self.path / name
        if not path.exists():
            draft = self.path / f"{name}.{secrets.token_hex(4)}"
            write_private(draft, secrets.token_urlsafe(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                return path.read_text()
            finally:
                draft.unlink()
            sync_folder(self.path)
        return path.read_text()

    def write_note(self, name: str, note: dict[str, Any]) -> None:
        """Leave a note for other processes, whole or not at all."""
        draft = self.path / f"{name}.new"
        write_private(draft, json.dumps(note))
        draft.replace(self.path / name)

    def read_note(self, name: str) -> dict[str, Any]:
        """The note, or an empty one."""
        try:
            note = json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def remove_note(self, name: str) -> None:
        """Take the note away; nothing happens where there is none."""
        (self.path / name).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on; it is on the disk afterwards."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def open_private(path: Path) -> IO[str]:
    """A file to append to, which only its owner may open, whatever it was before."""
    handle = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")
    if os.fstat(handle.fileno()).st_uid == os.geteuid():
        os.fchmod(handle.fileno(), 0o600)
    return handle
