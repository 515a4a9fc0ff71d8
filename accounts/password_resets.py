"""Setting a password anew, by a token that an operator has made and that is good once; mail is not sent from here."""

from datetime import timedelta

from accounts.email_spelling import sought_email
from accounts.errors import UnknownAccount
from accounts.random_tokens import hash_of, random_token
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection, connect_as_owner

PREFIX = "tixxety_reset_"
GOOD_MINUTES = 60

MAKE = """
INSERT INTO password_resets (token_hash, account_id, expires_at)
SELECT %(token_hash)s, account_id, clock_timestamp() + %(good)s FROM accounts WHERE email = %(email)s
FOR KEY SHARE
RETURNING account_id
"""
EMAIL = "SELECT password_reset_email(%(token_hash)s)"
USE = "SELECT reset_password(%(token_hash)s, %(new_hash)s)"
FORGET = "DELETE FROM password_resets WHERE expires_at < clock_timestamp()"


async def make(box_office: BoxOffice | str, email: str) -> str:
    """A token for the account's owner. For the tables' owner alone.

    Raises `UnknownAccount`, `psycopg.errors.InsufficientPrivilege`.
    """
    token = random_token(PREFIX)
    values = {"token_hash": hash_of(token), "good": timedelta(minutes=GOOD_MINUTES), "email": sought_email(email)}
    async with await connect_as_owner(box_office) as connection:
        if await (await connection.execute(MAKE, values)).fetchone() is None:
            raise UnknownAccount
    return token


async def email_of(connection: Connection, token: str) -> str | None:
    """Whose password the token lets one set; None where it is unknown, used or over."""
    row = await (await connection.execute(EMAIL, {"token_hash": hash_of(token)})).fetchone()
    return row[0] if row else None


async def use(connection: Connection, token: str, new_hash: str) -> bool:
    """Set the password, end all sessions and all other tokens of the account; False where the token is good no more."""
    values = {"token_hash": hash_of(token), "new_hash": new_hash}
    row = await (await connection.execute(USE, values)).fetchone()
    return row is not None and bool(row[0])


async def forget(connection: Connection) -> None:
    """Drop what is over, as the worker may."""
    await connection.execute(FORGET)
