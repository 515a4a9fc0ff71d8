"""What the logs of a process leave out, and what they never do."""

import subprocess
import sys

from tests.running import ROOT

WORKER = """
import logging
from tixxety.serving import logs
logs.configure("worker")
logging.getLogger("apscheduler.scheduler").warning("skipped: maximum number of running instances reached")
logging.getLogger("apscheduler.executors.default").error("a job raised an exception")
"""


def test_a_job_that_is_still_at_work_is_not_worth_a_line_and_one_that_fails_is() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "skipped" not in done.stderr
    assert "a job raised an exception" in done.stderr
