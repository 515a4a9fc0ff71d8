"""From a person to an account's id and back, for auditors who start from an e-mail, or end at an id."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from accounts import account_queries
from accounts.account_queries import Person
from accounts.email_spelling import sought_email
from accounts.errors import NoSuchAccount
from api.accounts.schemas import LONGEST_EMAIL, Email
from api.audit.recorded_access import Auditor, TheAuditor
from api.docs.example_values import SOME_BUYER
from api.http.errors import AuditorsOnly
from api.http.inputs import Id, Text, unusable
from api.http.problems import refusals
from api.plumbing.authentication import lent
from api.plumbing.services import Services, TheServices

EXACTLY_ONE = "has to be given, or id has to be, and not both"
# Kept for ever, as an e-mail may not be.
BY_EMAIL = "/audit/accounts?email=(of {})"

router = APIRouter(prefix="/audit", tags=["audit"])


class PersonAnswer(BaseModel):
    """Whose account it is; the history knows the id alone."""

    id: Annotated[UUID, Field(examples=[SOME_BUYER])]
    email: Email
    name: Annotated[str, Field(examples=["Ada"])]

    @classmethod
    def of_person(cls, person: Person) -> Self:
        """As the accounts have it."""
        return cls(**person._asdict())


@router.get("/accounts", responses=refusals(AuditorsOnly, NoSuchAccount))
async def find_account(
    auditor: TheAuditor,
    services: TheServices,
    email: Annotated[
        Annotated[str, Text(1, LONGEST_EMAIL)] | None, Query(description="The whole e-mail; case does not matter.")
    ] = None,
    id: Annotated[Id | None, Query(description="The id that domain events and stories have.")] = None,  # noqa: A002
) -> PersonAnswer:
    """Whose account it is, by e-mail or by id, while it lives. That it was asked for is kept, without the e-mail."""
    if (email is None) == (id is None):
        raise unusable("query", "email", EXACTLY_ONE)
    person = await _person_of(auditor, id) if id else await _person_with(auditor, services, email or "")
    if person is None:
        raise NoSuchAccount
    return PersonAnswer.of_person(person)


async def _person_of(auditor: Auditor, account_id: UUID) -> Person | None:
    connected = await auditor.reads()
    async with connected() as connection:
        return await account_queries.person_of(connection, account_id)


async def _person_with(auditor: Auditor, services: Services, email: str) -> Person | None:
    """What is kept has to name the account, so it is looked for first; nobody is told before that is kept."""
    async with lent(services, auditor.account.account_id) as connection:
        person = await account_queries.person_with(connection, sought_email(email))
    await auditor.reads(BY_EMAIL.format(person.id if person else "nobody"))
    return person
