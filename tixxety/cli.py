"""The commands of `tixxety`: what people type, and one sentence where something can't be done."""

from __future__ import annotations

import errno
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import psycopg
import typer

from accounts.tokens import ROLES
from domain.errors import Refusal
from eventstore.errors import Failure as StoreFailure
from eventstore.postgres.connections import WORKER_ROLE
from tixxety import __version__
from tixxety.commands import secrets as env_file
from tixxety.commands import test as testing
from tixxety.commands.analyst_url import analyst_url
from tixxety.commands.export import export
from tixxety.commands.rebuild import rebuild
from tixxety.commands.replay import replay
from tixxety.commands.seals import newest_seal, rotate_seal_key
from tixxety.commands.verify import verify
from tixxety.errors import Failure
from tixxety.options import Home, expect_current_schema, expect_database
from tixxety.processes.child_process import end_with_uv
from tixxety.processes.stop_signals import run, signal_exit_code
from tixxety.schema.migration import migrate as migrate_database
from tixxety.schema.rights import expect_worker_rights
from tixxety.serving import logs
from tixxety.serving.up import listen, serve_many
from tixxety.serving.up import up as run_up
from tixxety.settings import database, read_settings
from tixxety.terminal.say import say

Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")]
Email = Annotated[str, typer.Argument(help="The account's e-mail.")]
Role = Annotated[str, typer.Argument(help=f"One of {', '.join(ROLES)}.")]

MAY_NOT_GRANT = "This login may not change roles: set MIGRATE_DATABASE_URL to the one that migrates."
COULD_NOT = 2
OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


def execute() -> int:
    """Run the command that was typed; the exit code where it could not be done. Raises SystemExit with any other."""
    try:
        end_with_uv()
        app(prog_name="tixxety")
    except SystemExit as end:
        # Typer ends with 1 when nobody reads on, as in `tixxety export | head`.
        if isinstance(end.__context__, BrokenPipeError):
            return signal_exit_code(signal.SIGPIPE)
        raise
    except (Failure, StoreFailure, Refusal) as no:
        say(str(no))
    except psycopg.Error as error:
        say(f"The database refuses or does not answer: {' '.join(str(error).split())}")
    except OSError as error:
        say(sentence_of(error))
    except Exception:
        traceback.print_exc()
    return COULD_NOT


def sentence_of(error: OSError) -> str:
    """What the system refused, and where to look when it is out of room."""
    what = f"{error.strerror or error}: {error.filename}" if error.filename else f"{error.strerror or error}"
    if error.errno in OUT_OF_ROOM and tempfile.tempdir is not None:
        return f"{what}. Temporary files lie in {tempfile.tempdir}; the variable TMPDIR names another folder."
    return f"{what}."


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    """An event-sourced box office: reserve, pay, expire, and every decision on record."""
    if version:
        typer.echo(f"tixxety {__version__}")
        raise typer.Exit


@app.command()
def up(host: Host = "127.0.0.1", port: Port = 8000, home: Home = None) -> None:
    """Run everything until Ctrl-C, on an embedded PostgreSQL unless DATABASE_URL is set."""
    run_up(read_settings(home), host, port)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run the tests on a PostgreSQL of their own; what follows is pytest's."""
    raise typer.Exit(testing.run_tests(context.args))


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer.")] = 1,
    home: Home = None,
    listener: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the API until Ctrl-C."""
    settings = read_settings(home)
    with database(settings, brief=False) as url:
        expect_database(settings, url)
        settings.open_logins(url)
        environment = settings.serving_environment(url)
        with socket.socket(fileno=listener) if listener is not None else listen(host, port) as opened:
            if workers > 1:
                serve_many(opened, workers, environment)
            else:
                from tixxety.serving.api_process import serve_here  # only who answers needs the API's libraries

                logs.configure("api")
                serve_here(opened, environment)


@app.command()
def worker(home: Home = None) -> None:
    """Fold the projections, expire what was not paid, take snapshots and seal the history, until Ctrl-C.

    Any number may run.
    """
    from tixxety.serving.worker_process import work

    settings = read_settings(home)
    with database(settings, brief=False) as url:
        expect_database(settings, url)
        settings.open_logins(url)
        url = settings.serving_url(url, WORKER_ROLE)
        expect_worker_rights(url)
        logs.configure("worker")
        work(url, settings.refusals_kept_days)


@app.command()
def migrate(home: Home = None) -> None:
    """Bring the database to this program's schema; safe to run again, and by many at once."""
    settings = read_settings(home)
    if settings.migrate_database_url is not None:
        notes = migrate_database(settings.migrate_database_url)
    else:
        with database(settings, brief=True) as url:
            notes = migrate_database(url)
    for note in notes:
        typer.echo(note, err=True)
    typer.echo("The schema is current.")


app.command()(rebuild)


@app.command()
def grant(email: Email, role: Role, home: Home = None) -> None:
    """Give an account a role; it counts at once."""
    from accounts.roles import grant as give

    change_roles(home, give, email, role)


@app.command()
def revoke(email: Email, role: Role, home: Home = None) -> None:
    """Take a role from an account; it counts at once."""
    from accounts.roles import revoke as take

    change_roles(home, take, email, role)


app.command()(verify)
app.command()(analyst_url)
app.command()(replay)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def secrets(context: typer.Context) -> None:
    """Print new secrets for compose.yml, or write them to a file that only its owner may read."""
    raise typer.Exit(env_file.main(context.args))


app.command()(export)
app.command()(newest_seal)
app.command()(rotate_seal_key)


def change_roles(
    home: str | None, change: Callable[[str, str, str], Coroutine[Any, Any, list[str]]], email: str, role: str
) -> None:
    """Make one change and print the roles that the account now has."""
    settings = read_settings(home)
    with database(settings, brief=True) as url:
        expect_current_schema(settings, url)
        try:
            roles = run(change(settings.migrate_database_url or url, email, role))
        except psycopg.errors.InsufficientPrivilege:
            raise Failure(MAY_NOT_GRANT) from None
    typer.echo(f"{email} has {', '.join(roles) if roles else 'no role'}.")
