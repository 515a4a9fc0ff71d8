"""Accounts: register, log in, look at oneself, leave."""

from typing import Annotated, Any

import uuid_utils.compat
from fastapi import APIRouter, Form, Request, Response

from accounts import account_queries
from accounts.email_spelling import sought_email
from accounts.errors import EmailTaken, InvalidCredentials
from accounts.tokens import TOKEN_SECONDS
from api.accounts.schemas import AccountAnswer, Registration, TokenAnswer
from api.http.inputs import Text
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import refusals
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import TheServices
from domain.errors import AccountClosed
from eventstore.errors import Overloaded

LONGEST_FORM_FIELD = 1_000

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=StrictJsonRoute)


@router.post("/register", status_code=201, response_model=AccountAnswer, responses=refusals(EmailTaken, Overloaded))
async def register(registration: Registration, services: TheServices) -> dict[str, Any]:
    """Open an account."""
    values = registration.model_dump(exclude={"password"})
    with services.passwords.turn():
        password_hash = await services.passwords.hash(registration.password)
    async with services.pool.connection() as connection:
        account = await account_queries.insert(
            connection, account_id=uuid_utils.compat.uuid7(), password_hash=password_hash, **values
        )
    if account is None:
        raise EmailTaken
    return account._asdict()


@router.post("/login", response_model=TokenAnswer, responses=refusals(InvalidCredentials, Overloaded))
async def log_in(
    request: Request,
    response: Response,
    services: TheServices,
    username: Annotated[str, Form(), Text(1, LONGEST_FORM_FIELD)],
    password: Annotated[
        str, Form(json_schema_extra={"format": "password"}), Text(1, LONGEST_FORM_FIELD, as_typed=True)
    ],
) -> dict[str, Any]:
    """Exchange an e-mail (as `username`) and a password for an access token: the OAuth2 password form."""
    email = sought_email(username)
    address = services.rate_limits.address_of(request.scope)
    await services.rate_limits.check_login(address, email)
    with services.passwords.turn():
        async with services.pool.connection() as connection:
            credentials = await account_queries.credentials(connection, email)
        right = await services.passwords.verify(password, credentials and credentials.password_hash)
    if not right or not credentials:
        await services.rate_limits.count_failed_login(address, email)
        raise InvalidCredentials
    # Guesses that were sent at once are checked one by one: the right one must not be told when the limit is reached.
    await services.rate_limits.check_login(address, email)
    response.headers["Cache-Control"] = "no-store"
    token = services.tokens.make(credentials.account_id, credentials.roles)
    return {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS}


@router.get("/me", response_model=AccountAnswer)
async def read_account(account: CurrentAccount, services: TheServices) -> dict[str, Any]:
    """The account that the token belongs to."""
    async with services.pool.connection() as connection:
        row = await account_queries.read(connection, account.account_id)
    if row is None:
        raise AccountClosed
    return row._asdict()


@router.delete("/me", status_code=204)
async def delete_account(account: CurrentAccount, services: TheServices) -> None:
    """Erase the account and its personal data; its tokens end at once. The history keeps only the opaque id.

    Its reservations stay as they are, and nobody can pay, cancel or show them any more: cancel first what is to be
    returned. A limit per buyer is one per account, and does not know a new account with the same e-mail.
    """
    async with services.pool.connection() as connection:
        if not await account_queries.delete(connection, account.account_id):
            raise AccountClosed
