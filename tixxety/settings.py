"""The settings, from environment variables of the same names in capitals; nothing else in the project reads them."""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg.conninfo
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from accounts import SMALLEST_SECRET_BYTES
from eventstore.postgres.connections import APP_ROLE
from tixxety.embedded.home import Home, default_home
from tixxety.embedded.logins import login_url, open_logins
from tixxety.embedded.server import embedded_database
from tixxety.errors import WrongSetting

DATABASE_FORM = "must be a PostgreSQL URL such as postgresql://user:password@host:5432/database"
ORIGIN = re.compile(r"\*|https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]++)*+")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(BaseSettings):
    """What can be set. Empty variables count as missing ones."""

    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True, frozen=True)

    database_url: str | None = None
    """PostgreSQL to use. Without it an embedded one is started, with its data below the home."""
    migrate_database_url: str | None = None
    """The login that may create schemas and roles, for `migrate` alone; by default the same as `database_url`."""
    jwt_secret: SecretStr | None = None
    """Signs the tokens; at least 32 bytes. The embedded mode makes its own; elsewhere there is no default."""
    rate_limits: bool | None = None
    """`on` or `off`; by default on, but off in the embedded mode."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Addresses and networks, with commas between, whose `X-Forwarded-For` is believed; by default nobody's."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins, with commas between, whose pages may call the API from a browser; by default none."""
    root_path: str = ""
    """The prefix that a reverse proxy takes off the path before it passes a request on, such as `/tickets`."""
    refusals_kept_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    """How long the worker keeps refused attempts, in days."""
    tixxety_home: Path = Field(default_factory=default_home)
    """Where the embedded mode keeps its data and secrets; by default the user's data folder."""
    test_database_url: str | None = None
    """PostgreSQL for `test`, which makes and drops databases of its own there; by default an embedded one."""

    @field_validator("database_url", "migrate_database_url", "test_database_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                psycopg.conninfo.conninfo_to_dict(url)
            except psycopg.ProgrammingError:
                raise ValueError(DATABASE_FORM) from None
        return url

    @field_validator("jwt_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < SMALLEST_SECRET_BYTES:
            raise ValueError(f"must have at least {SMALLEST_SECRET_BYTES} bytes")
        return secret

    @field_validator("rate_limits", mode="before")
    @classmethod
    def _read_switch(cls, switch: object) -> object:
        if isinstance(switch, str):
            choices = {"on": True, "off": False}
            if switch.strip().lower() not in choices:
                raise ValueError("must be on or off")
            return choices[switch.strip().lower()]
        return switch

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _read_networks(cls, networks: object) -> object:
        if not isinstance(networks, str):
            return networks
        try:
            return tuple(
                ipaddress.ip_network(each.strip(), strict=False) for each in networks.split(",") if each.strip()
            )
        except ValueError as error:
            raise ValueError(f"must be addresses or networks with commas between: {error}") from None

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _read_origins(cls, origins: object) -> object:
        if not isinstance(origins, str):
            return origins
        named = tuple(each.strip() for each in origins.split(",") if each.strip())
        if not all(ORIGIN.fullmatch(each) for each in named):
            raise ValueError("must be origins with commas between, as https://shop.example, without a path")
        return named

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, path: str) -> str:
        if not ROOT_PATH.fullmatch(path):
            raise ValueError("must be a path such as /tickets, without a slash at its end")
        return path

    @property
    def home(self) -> Home:
        """The home that the embedded mode uses."""
        return Home(self.tixxety_home.expanduser().absolute().resolve())

    def open_logins(self, database_url: str) -> None:
        """Let API and worker log in to the embedded server, once it is migrated; a DATABASE_URL has its own login."""
        if self.database_url is None:
            open_logins(self.home, database_url)

    def serving_url(self, database_url: str, role: str) -> str:
        """By which a process that serves comes to this database, as the API's role or the worker's."""
        return database_url if self.database_url is not None else login_url(self.home, database_url, role)

    def serving_environment(self, database_url: str, role: str = APP_ROLE) -> dict[str, str]:
        """What `serve`, or `worker` with its role, needs as environment variables: of the embedded server no more than
        a login of its own, so that it has to be asked again when the server has moved.

        Raises WrongSetting without a JWT_SECRET.

        In the embedded mode the secret is made once per home, and rate limits are off unless they were set.
        """
        secret, limited = self.jwt_secret, self.rate_limits
        if self.database_url is None:
            secret = secret or SecretStr(self.home.secret("jwt_secret"))
            limited = bool(limited)
        if secret is None:
            raise WrongSetting("JWT_SECRET is not set: give at least 32 random bytes, e.g. from `tixxety secrets`.")
        return {
            "DATABASE_URL": self.serving_url(database_url, role),
            "JWT_SECRET": secret.get_secret_value(),
            "RATE_LIMITS": "off" if limited is False else "on",
        }


def read_settings(home: str | None = None) -> Settings:
    """The settings; a home given on the command line comes before the variable's. Raises WrongSetting.

    An empty home, as a shell makes it of a variable that is not set, counts as none.
    """
    try:
        return Settings(tixxety_home=Path(home)) if home else Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise WrongSetting(f"{name} {first['msg'].removeprefix('Value error, ')}.") from None


@contextmanager
def database(settings: Settings, *, brief: bool) -> Iterator[str]:
    """The URL of the database in DATABASE_URL, or of the home's embedded one, running for the duration of the block."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded_database(settings.home.path, brief=brief) as url:
        yield url


@contextmanager
def owned_database(settings: Settings) -> Iterator[str]:
    """The same for who changes schema or keys: MIGRATE_DATABASE_URL comes first, so that no other need be in reach."""
    if settings.migrate_database_url is not None:
        yield settings.migrate_database_url
        return
    with database(settings, brief=True) as url:
        yield url
