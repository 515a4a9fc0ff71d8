"""What accounts made in numbers need to prove who they are: a password, and tokens by which one is set anew."""

from fastapi import FastAPI

from accounts.password_resets import PREFIX
from accounts.random_tokens import hash_of, random_token
from eventstore.postgres.connections import connect_as_owner
from tests.api.conftest import LoggedIn, password_hash
from tests.api.programme import crowd

SET_PASSWORDS = "UPDATE accounts SET password_hash = %(password_hash)s WHERE account_id = ANY(%(ids)s::uuid[])"
LET_RESET = """
INSERT INTO password_resets (token_hash, account_id, expires_at)
SELECT token_hash, account_id, clock_timestamp() + interval '1 hour'
FROM unnest(%(hashes)s::bytea[], %(ids)s::uuid[]) AS made (token_hash, account_id)
"""


async def set_passwords(app: FastAPI, accounts: list[LoggedIn]) -> None:
    """The accounts have the password that all have in tests."""
    async with await connect_as_owner(app.state.services.config.box_office) as owner:
        ids = [account.id for account in accounts]
        await owner.execute(SET_PASSWORDS, {"password_hash": password_hash(), "ids": ids})


async def reset_tokens(app: FastAPI, count: int) -> list[str]:
    """So many, each of an account of its own."""
    ids = [account.id for account in await crowd(app, count)]
    tokens = [random_token(PREFIX) for _ in ids]
    async with await connect_as_owner(app.state.services.config.box_office) as owner:
        await owner.execute(LET_RESET, {"hashes": [hash_of(token) for token in tokens], "ids": ids})
    return tokens
