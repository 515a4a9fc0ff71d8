"""The files of the embedded PostgreSQL: the data, the superuser's password and the port, in one folder."""

import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tixxety.embedded.binaries import Binaries
from tixxety.embedded.home import write_private
from tixxety.embedded.system_account import Account
from tixxety.errors import PostgresFailed


@dataclass(frozen=True)
class Cluster:
    """One folder with the data of one server; `account` owns the data where root runs it."""

    folder: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.folder / "data"

    @property
    def name(self) -> str:
        """What the server's processes show in their titles: by it they are found again."""
        return "tixxety-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:8]

    @property
    def major(self) -> int | None:
        """The PostgreSQL version that made the data and is needed to run it; None before there is any."""
        version = self.data / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def password(self) -> str:
        """The superuser's password."""
        return (self.folder / "password").read_text()

    def port(self) -> int:
        """The port, chosen once and kept; another one is chosen and kept where something else listens on it."""
        kept = self.folder / "port"
        try:
            port = int(kept.read_text())
        except (OSError, ValueError):
            port = 0
        if port == 0 or not is_free(port):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            kept.write_text(str(port))
        return port

    def make(self, binaries: Binaries, *, durable: bool) -> None:
        """Make the data with a new password, whole or not at all. Raises PostgresFailed."""
        making = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.folder))
        password_file = making.with_name(making.name + ".password")
        password = secrets.token_urlsafe(32)
        try:
            write_private(password_file, password)
            if self.account is not None:
                for path in (making, password_file):
                    os.chown(path, self.account.uid, self.account.gid)
            utf8 = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else []
            options = ["--encoding=UTF8", "--locale=C", *utf8, "--auth=scram-sha-256", f"--pwfile={password_file}"]
            options += ["--data-checksums"] if durable else ["--no-sync"]
            if not durable and binaries.major >= 16:
                # Tests log in thousands of times, each of which costs 4,096 rounds on either side.
                options += ["--set=scram_iterations=1"]
            command = [binaries.program("initdb"), "-D", str(making), "-U", "postgres", *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False, **self.run_as())
            if done.returncode != 0:
                raise PostgresFailed(f"The database cannot be made in {self.folder}: {last_lines(done.stderr)}")
            write_private(self.folder / "password", password)
            making.replace(self.data)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(making, ignore_errors=True)

    def run_as(self) -> dict[str, Any]:
        """How PostgreSQL's programs are started: as the account, and with nothing of our environment."""
        environment = {"PATH": os.defpath, "LANG": "C", "TZ": "UTC"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        options: dict[str, Any] = {"cwd": self.folder, "env": environment}
        if self.account is not None:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return options


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def last_lines(text: str) -> str:
    """The end of a program's output on one line."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-4:])
