"""A file with a kept seal: whole and rightly signed, or one sentence that says what is wrong with it."""

from datetime import UTC, datetime

import msgspec
import pytest

from auditing.verify.checks.kept_seal import read
from eventstore.postgres.connections import Connection, connect
from eventstore.seals import seal_keys
from eventstore.seals.seals import NONE_BEFORE, Claims, SealInvalid, sign

CLAIMS = Claims(1, 1, 7, "a" * 64, NONE_BEFORE, datetime(2030, 6, 1, tzinfo=UTC))


async def signed(connection: Connection) -> tuple[str, seal_keys.Jwk]:
    """A seal, and the public key that checks it."""
    await seal_keys.rotate(connection)
    jws = sign(await seal_keys.in_use(connection), CLAIMS)
    return jws, (await seal_keys.published(connection))[-1]


def file_of(seal: object, key: object) -> bytes:
    return msgspec.json.encode({"seal": seal, "key": key})


@pytest.fixture
async def seal(database_url: str) -> tuple[str, seal_keys.Jwk]:
    async with await connect(database_url) as connection:
        await connection.execute("RESET ROLE")
        return await signed(connection)


async def test_a_kept_seal_says_what_it_seals(seal: tuple[str, seal_keys.Jwk]) -> None:
    kept = read(file_of(*seal))
    assert (kept.jws, kept.claims) == (seal[0], CLAIMS)


async def test_what_is_no_such_file_is_one_sentence(seal: tuple[str, seal_keys.Jwk]) -> None:
    jws, key = seal
    _, payload, _ = jws.split(".")
    whole = file_of(jws, key)
    contents = {
        b"": "The file holds no seal",
        b"\xff\xfe": "The file holds no seal",
        whole[: len(whole) // 2]: "The file holds no seal",
        b"[]": "The file holds no seal",
        b'{"seal": "x"}': "The file holds no seal",
        file_of("x", key): "This is no seal",
        file_of(jws.split(".")[0], key): "This is no seal",
        file_of(jws[:-7], key): "no seal|signature is wrong",
        file_of(jws.replace(payload, payload[:-4]), key): "no seal|signature is wrong",
        file_of(jws, {**key, "x": key["x"][::-1]}): "signed with an unknown key",
        file_of(jws, {}): "signed with an unknown key",
        file_of(jws, {**key, "kty": "RSA"}): "signed with an unknown key",
    }
    for content, sentence in contents.items():
        with pytest.raises(SealInvalid, match=sentence) as raised:
            read(content)
        assert str(raised.value).endswith(".")
        assert "\n" not in str(raised.value)
