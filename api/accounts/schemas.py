"""What people send and get of their accounts."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from accounts.api_keys import SCOPES
from accounts.email_spelling import normalised_email
from accounts.passwords import LONGEST_PASSWORD, prepared
from accounts.weak_passwords import SHORTEST_PASSWORD, expect_strong
from api.docs.example_values import SOME_BUYER, SOME_KEY
from api.http.inputs import Body, Instant, Place, Text

LONGEST_EMAIL = 254
LONGEST_SECRET = 1_000

Email = Annotated[str, Field(json_schema_extra={"format": "email"}, examples=["ada@example.com"])]


def _prepared(password: Any) -> Any:
    """As it will be hashed, so that its characters are counted then; what is too long in any spelling stays so."""
    return prepared(password) if isinstance(password, str) else password


ApiScope = Literal["read", "reserve", "organise", "analyse", "audit"]
PlainPassword = Annotated[str, Text(SHORTEST_PASSWORD, LONGEST_PASSWORD, as_typed=True), BeforeValidator(_prepared)]
Secret = Annotated[str, Text(1, LONGEST_SECRET, as_typed=True)]
NewEmail = Annotated[Email, Text(3, LONGEST_EMAIL), AfterValidator(normalised_email)]
Name = Annotated[str, Text(1, 200), Field(examples=["Ada"])]


class Registration(Body):
    """A new account. E-mails compare without regard to case; the address serves to find events nearby.

    A password that is among the most common ones, contains the e-mail's name or only repeats or counts is refused.
    """

    email: NewEmail
    password: PlainPassword
    name: Name
    street: Place | None = None
    city: Place | None = None
    state: Place | None = None
    country: Place | None = None

    @field_validator("password")
    @classmethod
    def _is_strong(cls, password: str, info: ValidationInfo) -> str:
        expect_strong(password, info.data.get("email"))
        return password


class AccountChange(Body):
    """What is left out stays as it is; null takes a part of the address away."""

    name: Name = Field(default_factory=str)
    street: Place | None = None
    city: Place | None = None
    state: Place | None = None
    country: Place | None = None

    @property
    def changes(self) -> dict[str, str | None]:
        """What was sent and nothing else."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class PasswordChange(Body):
    """The rules for `password` are those of registering."""

    current_password: Secret
    password: PlainPassword


class EmailChange(Body):
    """The e-mail to log in with from now on."""

    email: NewEmail
    current_password: Secret


class PasswordReset(Body):
    """The rules for `password` are those of registering."""

    token: Secret
    password: PlainPassword


class NewApiKey(Body):
    """A key for a program: each of its scopes lets it do a part of what the account may, and nothing beyond that."""

    name: Annotated[str, Text(1, 200), Field(examples=["door scanner"])]
    scopes: Annotated[list[ApiScope], Field(min_length=1, max_length=len(SCOPES), examples=[["read", "reserve"]])]
    expires_at: Annotated[Instant, Field(description="Null or left out: never.")] | None = None

    @field_validator("scopes")
    @classmethod
    def _differ(cls, scopes: list[str]) -> list[str]:
        if len(set(scopes)) < len(scopes):
            raise ValueError("must not have the same scope twice")
        return scopes


class ApiKeyAnswer(BaseModel):
    """A key without its secret."""

    id: Annotated[UUID, Field(examples=[SOME_KEY])]
    name: Annotated[str, Field(examples=["door scanner"])]
    scopes: Annotated[list[str], Field(examples=[["read", "reserve"]])]
    created_at: Instant
    expires_at: Annotated[Instant, Field(description="When it ends by itself.")] | None
    last_used_at: Annotated[Instant, Field(description="To some minutes; null: never.")] | None


class MadeApiKeyAnswer(ApiKeyAnswer):
    """A new key with its secret, which is shown this once."""

    key: str


class ApiKeysAnswer(BaseModel):
    """All keys of an account that were not revoked; what has been over for 30 days is dropped."""

    items: list[ApiKeyAnswer]


class AccountAnswer(BaseModel):
    """An account as its owner sees it. `roles` are what was granted on the command line."""

    id: Annotated[UUID, Field(examples=[SOME_BUYER])]
    email: Email
    name: Annotated[str, Field(examples=["Ada"])]
    street: str | None
    city: str | None
    state: str | None
    country: str | None
    roles: list[str]
    created_at: Instant


class Refresh(Body):
    """The newest refresh token of a session."""

    refresh_token: Secret


class TokenAnswer(BaseModel):
    """Send `access_token` as `Authorization: Bearer …` for `expires_in` seconds, then refresh it.

    `refresh_token` is for `POST /auth/refresh` alone, once. The session ends after `refresh_expires_in` seconds.
    """

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
