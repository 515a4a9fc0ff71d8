"""`tixxety worker`: what is done behind the API."""

from eventstore.postgres.connections import WORKER_ROLE
from tixxety.options import Home, expect_database
from tixxety.schema.rights import expect_worker_rights
from tixxety.serving import logs
from tixxety.serving.worker_process import work
from tixxety.settings import database, read_settings


def worker(home: Home = None) -> None:
    """Fold the projections, expire what was not paid, take snapshots and seal the history, until Ctrl-C.

    Any number may run.
    """
    settings = read_settings(home)
    with database(settings, brief=False) as url:
        expect_database(settings, url)
        settings.open_logins(url)
        url = settings.serving_url(url, WORKER_ROLE)
        expect_worker_rights(url)
        logs.configure("worker")
        work(url, settings.refusals_kept_days)
