"""The guide for programs says what it says when it is pasted, and its way of asking again keeps the key."""

import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.running import ROOT, THE_PATH, free_port, until_ready
from tests.tixxety.forked import running_command

PAGE = (ROOT / "docs/api.md").read_text()
# What makes clients is not installed beside the tests: tests/campaigns/clients runs those commands.
PASTED, _, _ = PAGE.partition("\n## Generated clients\n")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PASTED)
PYTHON = "python3 - <<'THE END'\n{}THE END\n"


def test_the_page_says_what_it_says_when_pasted(database_url: str, tmp_path: Path) -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python", "text"}
    script = [text if language == "sh" else PYTHON.format(text) for language, text in BLOCKS if language != "text"]
    port = free_port()
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": "a secret that no other box office has"}
    logs = {name: tmp_path / f"{name}.log" for name in ("api", "worker")}
    with (
        running_command(["serve", "--port", str(port)], environment, logs["api"]) as api,
        running_command(["worker"], environment, logs["worker"]) as worker,
    ):
        until_ready(f"http://127.0.0.1:{port}/health/ready", (api, logs["api"]), (worker, logs["worker"]))
        done = subprocess.run(
            ["bash"],
            cwd=tmp_path,
            input="set -e\n" + "".join(script),
            env={**THE_PATH, "API": f"http://127.0.0.1:{port}", "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    told = "".join(text for language, text in BLOCKS if language == "text")
    assert (done.stdout, done.stderr, done.returncode) == (told, "", 0)


class NowAndThen(http.server.BaseHTTPRequestHandler):
    """Ends the first connection without an answer, says 503 to the second, and then yes; it keeps what it was sent."""

    asked: ClassVar[list[tuple[str | None, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.headers["Idempotency-Key"], body))
        if len(self.asked) == 1:
            self.close_connection = True
            return
        self.send_response(503 if len(self.asked) == 2 else 201)
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def now_and_then() -> Iterator[str]:
    """Where such a server is."""
    NowAndThen.asked.clear()
    with http.server.HTTPServer(("127.0.0.1", 0), NowAndThen) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_its_way_of_asking_again_keeps_the_key(now_and_then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ((definitions, _, played),) = (
        text.partition("\n\n\nstatus, ") for language, text in BLOCKS if language == "python"
    )
    assert played
    monkeypatch.setenv("API", now_and_then)
    names: dict[str, Any] = {}
    exec(definitions, names)  # noqa: S102 - it is the page's
    names["LONGEST_WAIT_SECONDS"] = 0
    assert names["ask"]("POST", "/reservations", "token", {"event_id": "one"}) == (201, {})
    ((key, body),) = set(NowAndThen.asked)
    assert len(NowAndThen.asked) == 3
    assert key
    assert json.loads(body) == {"event_id": "one"}
