"""The worker as a process: runs until a signal asks it to end."""

import uvloop

from tixxety.processes.child_process import spare_collector
from tixxety.processes.stop_signals import run
from workers.main import run as run_worker


def work(database_url: str, refusals_kept_days: int) -> None:
    """Run the worker until a stop signal cancels it and it has cleaned up. Raises StopRequested then."""
    spare_collector()
    run(run_worker(database_url, refusals_kept_days), uvloop.new_event_loop)
