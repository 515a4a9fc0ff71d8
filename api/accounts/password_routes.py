"""Passwords and e-mails: changed by who knows the password, and set anew by a token that an operator has made."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request

from accounts import account_queries, password_resets
from accounts.account_queries import AccountRow
from accounts.errors import EmailTaken, InvalidResetToken, WrongPassword
from accounts.weak_passwords import expect_strong
from api.accounts.schemas import AccountAnswer, EmailChange, PasswordChange, PasswordReset
from api.http.inputs import unusable
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import refusals
from api.plumbing.authentication import CurrentAccount, check_account_lives
from api.plumbing.services import Services, TheServices
from domain.errors import AccountClosed
from eventstore.errors import Overloaded

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=StrictJsonRoute)


@router.put("/password", status_code=204, responses=refusals(WrongPassword, Overloaded))
async def change_password(
    request: Request, change: PasswordChange, account: CurrentAccount, services: TheServices
) -> None:
    """Set another password, and end all sessions but this one. API keys go on.

    Wrong passwords count as failed logins.
    """
    with services.passwords.turn():
        row, password_hash = await _proved(request, services, account.account_id, change.current_password)
        _expect_strong(change.password, row.email)
        new_hash = await services.passwords.hash(change.password)
    async with services.pool.connection() as connection:
        if not await account_queries.change_password(
            connection, account.account_id, password_hash, new_hash, account.login_id
        ):
            # It was changed meanwhile, or the session has ended.
            await check_account_lives(connection, account.account_id)
            raise WrongPassword


@router.put("/email", response_model=AccountAnswer, responses=refusals(WrongPassword, EmailTaken, Overloaded))
async def change_email(
    request: Request, change: EmailChange, account: CurrentAccount, services: TheServices
) -> dict[str, Any]:
    """Log in with another e-mail from now on. Sessions go on. Wrong passwords count as failed logins."""
    with services.passwords.turn():
        _, password_hash = await _proved(request, services, account.account_id, change.current_password)
    async with services.pool.connection() as connection:
        row = await account_queries.change_email(
            connection, account.account_id, password_hash, change.email, account.login_id
        )
        if row is None:
            await check_account_lives(connection, account.account_id)
            raise WrongPassword
    return row._asdict()


@router.post("/password-reset", status_code=204, responses=refusals(InvalidResetToken, Overloaded))
async def reset_password(request: Request, reset: PasswordReset, services: TheServices) -> None:
    """Set a password by a token that an operator has made (`tixxety reset-password`), and end all sessions.

    The token is good once. Wrong ones count as failed logins.
    """
    address = services.rate_limits.address_of(request.scope)
    await services.rate_limits.check_login(address, reset_password.__name__)
    async with services.pool.connection() as connection:
        email = await password_resets.email_of(connection, reset.token)
    if email is None:
        await services.rate_limits.count_failed_login(address, reset_password.__name__)
        raise InvalidResetToken
    _expect_strong(reset.password, email)
    with services.passwords.turn():
        new_hash = await services.passwords.hash(reset.password)
    async with services.pool.connection() as connection:
        if not await password_resets.use(connection, reset.token, new_hash):
            raise InvalidResetToken


async def _proved(request: Request, services: Services, account_id: UUID, password: str) -> tuple[AccountRow, str]:
    """The account and its password's hash, if this is the password. Raises `WrongPassword`, `RateLimited`."""
    async with services.pool.connection() as connection:
        row = await account_queries.read(connection, account_id)
        credentials = row and await account_queries.credentials(connection, row.email)
    if row is None or credentials is None:
        raise AccountClosed
    address = services.rate_limits.address_of(request.scope)
    await services.rate_limits.check_login(address, row.email)
    if not await services.passwords.verify(password, credentials.password_hash):
        await services.rate_limits.count_failed_login(address, row.email)
        raise WrongPassword
    # As at logging in: the right one among guesses that were sent at once must not be told.
    await services.rate_limits.check_login(address, row.email)
    return row, credentials.password_hash


def _expect_strong(password: str, email: str) -> None:
    """Raises a validation error for a password that belongs to this e-mail, or is common."""
    try:
        expect_strong(password, email)
    except ValueError as weak:
        raise unusable("body", "password", str(weak)) from None
