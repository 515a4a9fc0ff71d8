"""Sessions: log in, go on without the password, log out here or everywhere."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request

from accounts import account_queries, api_keys, sessions
from accounts.email_spelling import sought_email
from accounts.errors import InvalidCredentials, InvalidRefreshToken
from accounts.sessions import Session, session_of
from accounts.tokens import TOKEN_SECONDS
from api.accounts.schemas import Refresh, TokenAnswer
from api.http.inputs import Text
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import refusals
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import Services, TheServices
from eventstore.errors import Overloaded

LONGEST_FORM_FIELD = 1_000

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=StrictJsonRoute)


@router.post("/login", response_model=TokenAnswer, responses=refusals(InvalidCredentials, Overloaded))
async def log_in(
    request: Request,
    services: TheServices,
    username: Annotated[str, Form(), Text(1, LONGEST_FORM_FIELD)],
    password: Annotated[
        str, Form(json_schema_extra={"format": "password"}), Text(1, LONGEST_FORM_FIELD, as_typed=True)
    ],
) -> dict[str, Any]:
    """Begin a session with an e-mail (as `username`) and a password: the OAuth2 password form.

    The access token is good for a quarter of an hour; `POST /auth/refresh` gives the next one, for 30 days. An account
    has 50 sessions at the most: one more ends the one that was refreshed longest ago.
    """
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
    async with services.pool.connection() as connection:
        session = await services.sessions.begin(connection, credentials)
    return _tokens(services, session)


@router.post("/refresh", response_model=TokenAnswer, responses=refusals(InvalidRefreshToken, Overloaded))
async def refresh_session(request: Request, refresh: Refresh, services: TheServices) -> dict[str, Any]:
    """Exchange a refresh token for an access token and the next refresh token; the session's end stays where it is.

    Sent again within 30 seconds it gives the same next token, so that a lost answer can be asked for once more. Sent
    later it was stolen, or its successor was: the session ends, and whoever has its tokens has to log in.
    """
    address = services.rate_limits.address_of(request.scope)
    session_id = str(session_of(refresh.refresh_token))
    await services.rate_limits.check_login(address, session_id)
    try:
        async with services.pool.connection() as connection:
            session = await services.sessions.refresh(connection, refresh.refresh_token)
    except InvalidRefreshToken:
        await services.rate_limits.count_failed_login(address, session_id)
        raise
    return _tokens(services, session)


@router.post("/logout", status_code=204, responses=refusals(Overloaded))
async def log_out(account: CurrentAccount, services: TheServices) -> None:
    """End the session that the access token belongs to. Its tokens are refused at once.

    All but one thing: tickets can be reserved with the access token, for the quarter of an hour that it is good for.
    """
    if account.login_id is not None:
        async with services.pool.connection() as connection:
            await sessions.end(connection, account.login_id)


@router.post("/logout-everywhere", status_code=204, responses=refusals(Overloaded))
async def log_out_everywhere(
    account: CurrentAccount,
    services: TheServices,
    revoke_keys: Annotated[bool, Query(description="End all API keys of the account as well.")] = False,
) -> None:
    """End all sessions of the account, this one too.

    Whoever had one of them may have made an API key, which goes on: `revoke_keys=true` ends those in the same moment.
    """
    async with services.pool.connection() as connection, connection.transaction():
        await sessions.end_all(connection, account.account_id)
        if revoke_keys:
            await api_keys.revoke_all(connection, account.account_id)


def _tokens(services: Services, session: Session) -> dict[str, Any]:
    seconds = min(TOKEN_SECONDS, session.seconds_left)
    return {
        "access_token": services.tokens.make(session.account_id, session.roles, session.session_id, seconds),
        "token_type": "bearer",
        "expires_in": seconds,
        "refresh_token": session.refresh_token,
        "refresh_expires_in": session.seconds_left,
    }
