"""Sessions of accounts that never logged in: each has its account's id, so that whoever has that makes its tokens."""

from uuid import UUID

from accounts.tokens import TOKEN_SECONDS, Tokens

BEGIN_SESSIONS = """
INSERT INTO tixxety.sessions (session_id, account_id, token_hash, expires_at)
SELECT id, id, '', clock_timestamp() + interval '30 days' FROM unnest(%(ids)s::uuid[]) AS id
"""


def token_of(secret: str, account_id: UUID, *roles: str, seconds: int = TOKEN_SECONDS) -> str:
    """An access token of the account's session."""
    return Tokens(secret).make(account_id, list(roles), account_id, seconds)
