"""Accounts: register, log in, look at oneself, leave; and the roles that the command line grants."""

from typing import Annotated, Any
from uuid import UUID

import uuid_utils.compat
from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Form, Request, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from api import account_queries
from api.inputs import Body, Instant, Place, Text
from api.passwords import LONGEST_PASSWORD, prepared
from api.problems import refusals
from api.refusals import EmailTaken, InvalidCredentials
from api.security import CurrentAccount
from api.services import TheServices
from api.strict_json import StrictJsonRoute
from api.text import LONGEST_DECOMPOSITION
from api.tokens import ROLES, TOKEN_SECONDS
from api.weak_passwords import SHORTEST_PASSWORD, expect_strong
from domain.refusals import AccountClosed
from eventstore.connections import connect_as_owner
from eventstore.failures import Failure, Overloaded

LONGEST_EMAIL = 254
LONGEST_FORM_FIELD = 1_000

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=StrictJsonRoute)


class UnknownAccount(Failure):
    """There is no account with this e-mail."""


class UnknownRole(Failure):
    """There is no such role: they are auditor, analyst and admin."""


def normalised_email(email: str) -> str:
    """The one spelling by which an e-mail is stored and compared; raises ValueError for what is none."""
    checked = validate_email(email.strip(), check_deliverability=False, globally_deliverable=False)
    return checked.normalized.lower()


def _sought(email: str) -> str:
    """The spelling to look an account up by; what is no e-mail finds none."""
    try:
        return normalised_email(email)
    except EmailNotValidError:
        return email.strip().lower()


Email = Annotated[str, Field(json_schema_extra={"format": "email"}, examples=["ada@example.com"])]


def _prepared(password: Any) -> Any:
    """As it will be hashed, so that its characters are counted then; what is too long in any spelling stays so."""
    short = isinstance(password, str) and len(password) <= LONGEST_PASSWORD * LONGEST_DECOMPOSITION
    return prepared(password) if short else password


class Registration(Body):
    """A new account. E-mails compare without regard to case; the address serves to find events nearby.

    A password that is among the most common ones, is the e-mail or only repeats or counts is refused.
    """

    email: Annotated[Email, Text(3, LONGEST_EMAIL), AfterValidator(normalised_email)]
    password: Annotated[str, Text(SHORTEST_PASSWORD, LONGEST_PASSWORD, as_typed=True), BeforeValidator(_prepared)]
    name: Annotated[str, Text(1, 200), Field(examples=["Ada"])]
    street: Place | None = None
    city: Place | None = None
    state: Place | None = None
    country: Place | None = None

    @field_validator("password")
    @classmethod
    def _is_strong(cls, password: str, info: ValidationInfo) -> str:
        expect_strong(password, info.data.get("email"))
        return password


class AccountAnswer(BaseModel):
    """An account as its owner sees it. `roles` are what was granted on the command line."""

    id: UUID
    email: Email
    name: str
    street: str | None
    city: str | None
    state: str | None
    country: str | None
    roles: list[str]
    created_at: Instant


class TokenAnswer(BaseModel):
    """Send `access_token` as `Authorization: Bearer …` for `expires_in` seconds."""

    access_token: str
    token_type: str
    expires_in: int


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
async def login(
    request: Request,
    response: Response,
    services: TheServices,
    username: Annotated[str, Form(), Text(1, LONGEST_FORM_FIELD)],
    password: Annotated[
        str, Form(json_schema_extra={"format": "password"}), Text(1, LONGEST_FORM_FIELD, as_typed=True)
    ],
) -> dict[str, Any]:
    """Exchange an e-mail (as `username`) and a password for an access token: the OAuth2 password form."""
    email = _sought(username)
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


async def grant(database_url: str, email: str, role: str) -> list[str]:
    """Give an account a role, which counts at once; returns all its roles. For the tables' owner alone.

    Raises `UnknownRole`, `UnknownAccount`, `psycopg.errors.InsufficientPrivilege`.
    """
    _check_role(role)
    async with await connect_as_owner(database_url) as connection:
        return _known(await account_queries.grant(connection, _sought(email), role))


async def revoke(database_url: str, email: str, role: str) -> list[str]:
    """Take a role back, which counts at once. Returns the roles left. For the tables' owner alone.

    Raises `UnknownRole`, `UnknownAccount`, `psycopg.errors.InsufficientPrivilege`.
    """
    _check_role(role)
    async with await connect_as_owner(database_url) as connection:
        return _known(await account_queries.revoke(connection, _sought(email), role))


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UnknownRole


def _known(roles: list[str] | None) -> list[str]:
    if roles is None:
        raise UnknownAccount
    return roles
