"""Runs `tixxety` commands without importing it each time: a process that has, and forks for each command.

`warm_commands` gives the words to type instead of `python -m tixxety`.
"""

import importlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import ROOT, running
from tests.tixxety.processes import until
from tixxety.command_line import main

LONGEST_REQUEST = 1 << 20
CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    asked = [sys.argv[2:], os.getcwd(), dict(os.environ)]
    socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(16)))
"""


@contextmanager
def warm_commands() -> Iterator[str]:
    """The words, for the block."""
    # A socket's path may not be long, as that of a test's own folder is.
    with tempfile.TemporaryDirectory(prefix="tixxety-warm-") as folder:
        place, client, log = (Path(folder) / name for name in ("socket", "client.py", "log"))
        client.write_text(CLIENT)
        command = [sys.executable, "-m", "tests.warm_commands", str(place)]
        with running(command, {"TIXXETY_NO_VENV": "1"}, log):
            until(place.exists)
            # Without `site` it starts in no time.
            yield f"{sys.executable} -S {client} {place}"


def serve(place: str) -> None:
    """Take one command after the other, each with the folder, environment and files of whoever asks."""
    importlib.import_module("tixxety.cli")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{place}.new")
        server.listen()
        # Who sees it can connect.
        Path(f"{place}.new").rename(place)
        while True:
            client, _ = server.accept()
            with client:
                data, files, _, _ = socket.recv_fds(client, LONGEST_REQUEST, 3)
                while more := client.recv(LONGEST_REQUEST):
                    data += more
                pid = os.fork()
                if not pid:
                    execute(*json.loads(data), files)
                for file in files:
                    os.close(file)
                _, status = os.waitpid(pid, 0)
                client.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def execute(arguments: list[str], folder: str, environment: dict[str, str], files: list[int]) -> None:
    """Be that command, in the process that was forked for it."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tixxety", *arguments]
    main()


if __name__ == "__main__":
    assert Path.cwd() == ROOT
    serve(sys.argv[1])
