"""Serves one baseline as our own API is served: `python -m bench.baselines.serving NAME PORT PROCESSES`."""

import os
import sys

import uvicorn

OURS = ("store_taken_out", "unaudited")
# As long as the bench waits for an answer; by default uvicorn kills a worker that takes more than 5 s to start.
START_SECONDS_MAX = 60


def main() -> None:
    """Serve until SIGTERM; baselines of our own code by our own server, the others by an ordinary uvicorn."""
    name, port, processes = sys.argv[1:]
    if name in OURS:
        # Here, since the others don't need it, and each process of theirs imports this module.
        from tixxety.serving.api_process import serve_here
        from tixxety.serving.up import listen

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
        timeout_worker_healthcheck=START_SECONDS_MAX,
    )


if __name__ == "__main__":
    main()
