"""Whatever refresh tokens come, in whatever order: a session does as a model of a few lines says."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.account_queries import Credentials
from accounts.errors import InvalidRefreshToken
from accounts.sessions import REPEATED_SECONDS, Sessions
from eventstore.postgres.connections import Connection, connect, connect_as_owner
from tests import box_office

LATER = "UPDATE sessions SET refreshed_at = refreshed_at - %(ago)s * interval '1 second' WHERE session_id = %(id)s"
SECRET = "a secret of thirty-two bytes, yes"

# How many tokens ago the one that comes was given, or None for a pause that is longer than a token is repeated.
steps = st.lists(st.one_of(st.none(), st.integers(min_value=0, max_value=3)), max_size=12)


class Expected:
    """A session as its owner may expect it: the tokens given so far, and what each of them would give now."""

    def __init__(self, first: str) -> None:
        self.tokens = [first]
        self.is_recent = False
        self.goes_on = True

    def takes(self, ago: int) -> bool:
        """Whether the token that was given so many tokens ago is taken; if not, the session is over."""
        self.goes_on = self.goes_on and (ago == 0 or (ago == 1 and self.is_recent))
        return self.goes_on


async def play(
    sessions: Sessions, serving: Connection, owner: Connection, account_id: UUID, taken: Sequence[int | None]
) -> None:
    begun = await sessions.begin(serving, Credentials(account_id, box_office.NO_PASSWORD, []))
    expected = Expected(begun.refresh_token)
    for ago in taken:
        if ago is None:
            await owner.execute(LATER, {"ago": REPEATED_SECONDS, "id": begun.session_id})
            expected.is_recent = False
            continue
        past = min(ago, len(expected.tokens) - 1)
        token = expected.tokens[-1 - past]
        try:
            given = await sessions.refresh(serving, token)
        except InvalidRefreshToken:
            assert not expected.takes(past)
            continue
        assert expected.takes(past)
        assert (given.session_id, given.account_id) == (begun.session_id, account_id)
        if past == 0:
            assert given.refresh_token not in expected.tokens
            expected.tokens.append(given.refresh_token)
            expected.is_recent = True
        assert given.refresh_token == expected.tokens[-1]


@given(plays=st.lists(steps, min_size=1, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tokens_in_any_order(database_url: str, plays: list[list[int | None]]) -> None:
    async def play_all() -> None:
        async with await connect(database_url) as serving, await connect_as_owner(database_url) as owner:
            (account_id,) = await box_office.register(serving, 1)
            for taken in plays:
                await play(Sessions(SECRET), serving, owner, account_id, taken)

    asyncio.run(play_all())
