"""Our own API and worker that keep no refusals and seal nothing; run as a program it is the worker."""

import os

from api.express_lane import ExpressLane
from eventstore.writing import refused_attempts
from tixxety.serving.api_process import create_app as create_audited_app
from tixxety.serving.worker_process import work
from workers.periodic_jobs import Sealing

NEVER_SECONDS = 10**8


def create_app() -> ExpressLane:
    """The application, with every refusal one too many to be kept."""
    refused_attempts.KEPT_A_MINUTE = 0
    app = create_audited_app()
    assert isinstance(app, ExpressLane)
    return app


if __name__ == "__main__":
    Sealing.interval_seconds = NEVER_SECONDS
    work(os.environ["DATABASE_URL"], 90)
