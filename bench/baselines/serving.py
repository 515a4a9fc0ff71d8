"""Serves one baseline as our own API is served: `python -m bench.baselines.serving NAME PORT PROCESSES`."""

import os
import sys

import uvicorn

from tixxety.serving import serve_here
from tixxety.up import listen

OURS = ("store_taken_out", "unaudited")


def main() -> None:
    """Serve until SIGTERM; baselines of our own code by our own server, the others by an ordinary uvicorn."""
    name, port, processes = sys.argv[1:]
    if name in OURS:
        serve_here(listen("127.0.0.1", int(port)), dict(os.environ), f"bench.baselines.{name}:create_app")
        return
    uvicorn.run(
        f"bench.baselines.{name}:app",
        port=int(port),
        workers=int(processes),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
