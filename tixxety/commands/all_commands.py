"""The table of the commands: what each is called and does, and the module that is loaded once it was typed."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tixxety import __version__

# In the order of the help: the first sentence of each command's docstring.
COMMANDS = {
    "up": "Run everything until Ctrl-C, on an embedded PostgreSQL unless DATABASE_URL is set.",
    "test": "Run the tests on a PostgreSQL of their own; what follows is pytest's.",
    "serve": "Run the API until Ctrl-C.",
    "worker": "Fold the projections, expire what was not paid, take snapshots and seal the history, until Ctrl-C.",
    "migrate": "Bring the database to this program's schema; safe to run again, and by many at once.",
    "rebuild": "Fold all tables for reading anew from the whole history, while they serve; then swap.",
    "grant": "Give an account a role; it counts at once.",
    "revoke": "Take a role from an account; it counts at once.",
    "reset-password": "Print a token, or a link, by which the account's password can be set once.",
    "verify": "Prove the history and all that is made of it, or an export of it.",
    "analyst-url": (
        "Make a login that reads the projections alone, or give it a new password, and print its connection string."
    ),
    "replay": "Show an event as it was, from the history alone, tell its story, or play its whole on-sale.",
    "secrets": "Print new secrets for compose.yml, or write them to a file that only its owner may read.",
    "export": (
        "Write the history with its seals, or one event's part of it, or a table or view, as it is at this moment."
    ),
    "newest-seal": (
        "Print the newest seal with its key, to keep where nobody who can change the database can change it too."
    ),
    "rotate-seal-key": (
        "Sign with a new key from now on, and destroy the old one; what it has signed can still be checked."
    ),
}
# The others have a module of their own name.
MODULES = {"grant": "accounts", "revoke": "accounts", "reset-password": "accounts"}
# Their `main` reads what follows by itself, and returns the exit code.
READ_BY_THEMSELVES = ("test", "secrets")
UNREAD = {"allow_extra_args": True, "ignore_unknown_options": True}
# Help is plain: Rich would take as long to load as all the rest.
STYLE: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}


class Commands(TyperGroup):
    """Lists all commands from the table; only the one that was typed is loaded."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in COMMANDS:
            self.add_command(TyperCommand(name))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Whole sentences, which Typer would cut at the end of a line."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself in the place of its name in the list."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def module_of(name: str) -> str:
    """The full name of the module that has the command."""
    return f"tixxety.commands.{MODULES.get(name, name.replace('-', '_'))}"


def load(name: str) -> TyperCommand:
    """The command with its options, from its module."""
    module = import_module(module_of(name))
    alone = typer.Typer(**STYLE)
    if name in READ_BY_THEMSELVES:
        alone.command(name, add_help_option=False, context_settings=UNREAD)(passing_on(module.main))
    else:
        alone.command(name)(getattr(module, name.replace("-", "_")))
    return cast(TyperCommand, get_command(alone))


def passing_on(main: Callable[[Sequence[str]], int]) -> Callable[[typer.Context], None]:
    """A command that hands on what follows its name."""

    def command(context: typer.Context) -> None:
        raise typer.Exit(main(context.args))

    return command


app = typer.Typer(cls=Commands, **STYLE)


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """An event-sourced box office: reserve, pay, expire, and every decision on record."""
    if version:
        typer.echo(f"tixxety {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)
