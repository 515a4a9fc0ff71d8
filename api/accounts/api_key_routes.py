"""API keys: made, listed and revoked by whoever is logged in; what each route needs is in `api.plumbing.scopes`."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from accounts import api_keys
from accounts.errors import TooManyKeys
from api.accounts.schemas import ApiKeysAnswer, MadeApiKeyAnswer, NewApiKey
from api.http.errors import NotFound
from api.http.inputs import Id, unusable
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import refusals
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import TheServices
from eventstore.errors import Overloaded

router = APIRouter(prefix="/auth/api-keys", tags=["accounts"], route_class=StrictJsonRoute)


@router.post("", status_code=201, response_model=MadeApiKeyAnswer, responses=refusals(TooManyKeys, Overloaded))
async def create_api_key(new: NewApiKey, account: CurrentAccount, services: TheServices) -> dict[str, Any]:
    """Make a key for a program. `key` is shown now and never again: send it as `Authorization: Bearer tixxety_key_…`.

    It acts for your account, within its scopes, until it is revoked: logging out or another password do not end it.
    """
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise unusable("body", "expires_at", "must be in the future")
    async with services.pool.connection() as connection:
        key, secret = await api_keys.create(
            connection, account, name=new.name, scopes=list(new.scopes), expires_at=new.expires_at
        )
    return key._asdict() | {"key": secret}


@router.get("", response_model=ApiKeysAnswer)
async def list_api_keys(account: CurrentAccount, services: TheServices) -> dict[str, Any]:
    """Your keys, the oldest first, without their secrets. `last_used_at` is true to some minutes."""
    async with services.pool.connection() as connection:
        keys = await api_keys.keys_of(connection, account.account_id)
    return {"items": [key._asdict() for key in keys]}


@router.delete("/{key_id}", status_code=204, responses=refusals(Overloaded))
async def revoke_api_key(key_id: Id, account: CurrentAccount, services: TheServices) -> None:
    """End a key: at once, but that tickets may be reserved with it for another half a minute."""
    async with services.pool.connection() as connection:
        if not await api_keys.revoke(connection, account.account_id, key_id):
            raise NotFound
