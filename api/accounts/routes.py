"""Accounts: register, look at oneself, leave."""

from typing import Any

import uuid_utils.compat
from fastapi import APIRouter

from accounts import account_queries
from accounts.errors import EmailTaken
from api.accounts.schemas import AccountAnswer, AccountChange, Registration
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import refusals
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import TheServices
from domain.errors import AccountClosed
from eventstore.errors import Overloaded

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


@router.get("/me", response_model=AccountAnswer)
async def read_account(account: CurrentAccount, services: TheServices) -> dict[str, Any]:
    """The account that the token belongs to."""
    async with services.pool.connection() as connection:
        row = await account_queries.read(connection, account.account_id)
    if row is None:
        raise AccountClosed
    return row._asdict()


@router.patch("/me", response_model=AccountAnswer, responses=refusals(Overloaded))
async def change_account(change: AccountChange, account: CurrentAccount, services: TheServices) -> dict[str, Any]:
    """Change name or address; `PUT /auth/email` and `PUT /auth/password` are for the rest."""
    async with services.pool.connection() as connection:
        row = await account_queries.change(connection, account.account_id, change.changes)
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
