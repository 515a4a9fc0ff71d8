"""Who runs the embedded PostgreSQL, and where it may live: PostgreSQL refuses to run as root."""

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from tixxety.errors import PostgresFailed

SHARED_BY_ROOT = Path("/var/lib/tixxety")


@dataclass(frozen=True)
class Account:
    """The system account that the server runs under when root starts it."""

    name: str
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Whether the account may pass through the folder and everything above it."""
        for each in (folder, *folder.parents):
            status = each.stat()
            if status.st_uid == self.uid:
                bit = stat.S_IXUSR
            elif status.st_gid == self.gid:
                bit = stat.S_IXGRP
            else:
                bit = stat.S_IXOTH
            if not status.st_mode & bit:
                return False
        return True


def server_account() -> Account | None:
    """None: run as ourselves. For root an existing account; none is ever added."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PostgresFailed("PostgreSQL does not run as root, and there is neither a postgres nor a nobody account.")


def cluster_folder(home: Path, account: Account | None) -> Path:
    """Where the cluster of a home lives: in the home, or below /var/lib/tixxety where root's account may not enter it.

    Changes the permissions of nothing that was there.
    """
    if account is None or account.may_enter(home):
        return home
    folder = SHARED_BY_ROOT / hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    make_passable(SHARED_BY_ROOT)
    make_passable(folder)
    if not account.may_enter(folder):
        raise PostgresFailed(f"The account {account.name} cannot enter {folder}; set DATABASE_URL or run as a user.")
    return folder


def make_passable(folder: Path) -> None:
    """Make a folder that all may pass through and nobody list, whatever the umask; leave one that is there."""
    if not folder.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)
        except OSError as error:
            raise PostgresFailed(f"The folder {folder} cannot be made: {error.strerror}.") from None
