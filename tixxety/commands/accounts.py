"""What operators do for accounts: `tixxety grant` and `revoke` roles, `tixxety reset-password`."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from psycopg.errors import InsufficientPrivilege

from accounts import password_resets, roles
from accounts.password_resets import GOOD_MINUTES
from accounts.tokens import ROLES
from tixxety.errors import Failure
from tixxety.options import Home, box_office
from tixxety.processes.stop_signals import run

Email = Annotated[str, typer.Argument(help="The account's e-mail.")]
Role = Annotated[str, typer.Argument(help=f"One of {', '.join(ROLES)}.")]

Page = Annotated[
    str | None,
    typer.Option("--page", metavar="URL", help="Your page that takes a new password: print a link to it."),
]

MAY_NOT_RESET = "This login may not let passwords be set: set MIGRATE_DATABASE_URL to the one that migrates."
GOOD = f"It is good once, for {GOOD_MINUTES} minutes, at POST /auth/password-reset. Whoever has it, has the account."
NO_PAGE = "--page has to be the whole URL of a page, http:// or https://, without a fragment (#): {page!r} is none."
MAY_NOT_GRANT = "This login may not change roles: set MIGRATE_DATABASE_URL to the one that migrates."


def grant(email: Email, role: Role, home: Home = None) -> None:
    """Give an account a role; it counts at once."""
    change_roles(home, roles.grant, email, role)


def revoke(email: Email, role: Role, home: Home = None) -> None:
    """Take a role from an account; it counts at once."""
    change_roles(home, roles.revoke, email, role)


def reset_password(email: Email, page: Page = None, home: Home = None) -> None:
    """Print a token, or a link, by which the account's password can be set once."""
    if page is not None:
        _expect_page(page)
    with box_office(home, as_owner=True) as url:
        try:
            token = run(password_resets.make(url, email))
        except InsufficientPrivilege:
            raise Failure(MAY_NOT_RESET) from None
    typer.echo(token if page is None else f"{page}#{token}")
    typer.echo(GOOD, err=True)


def _expect_page(page: str) -> None:
    """Raises Failure for what a link with the token behind a # can't be made of."""
    try:
        parts = urlsplit(page)
        is_page = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "#" not in page
    except ValueError:
        is_page = False
    if not is_page or not page.isprintable() or " " in page:
        raise Failure(NO_PAGE.format(page=page))


def change_roles(
    home: str | None, change: Callable[[str, str, str], Coroutine[Any, Any, list[str]]], email: str, role: str
) -> None:
    """Make one change and print the roles that the account now has."""
    with box_office(home, as_owner=True) as url:
        try:
            left = run(change(url, email, role))
        except InsufficientPrivilege:
            raise Failure(MAY_NOT_GRANT) from None
    typer.echo(f"{email} has {', '.join(left) if left else 'no role'}.")
