"""Domain events become stored rows and come back equal; older shapes are upcast on reading."""

from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import pytest
from eventsourcing.persistence import JSONTranscoder
from eventsourcing.utils import TopicError

from domain.domain_event import DomainEvent
from eventstore.codec import decode, encode
from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.domain.builders import (
    NOON,
    about,
    capacity_changed,
    created,
    details_changed,
    event_cancelled,
    key,
    limits_changed,
    price_changed,
    returned,
    type_added,
    window_changed,
    withheld,
)
from tests.domain.purchase import ANNS
from tests.eventstore.library_mapper import HistoryMapper

STREAM_ID = UUID(int=0x57)
ONE_OF_EACH: tuple[DomainEvent, ...] = (
    created(description="Grüße aus “Gent” 🎻\n", sales_close_at=NOON, idempotency=key("k")),
    details_changed(city=None),
    capacity_changed(7),
    window_changed(sales_open_at=NOON),
    limits_changed(hold_seconds=9),
    price_changed(3000),
    type_added(idempotency=key("k")),
    withheld(2),
    returned(1, idempotency=key("k")),
    event_cancelled(),
    *ANNS.reserved(idempotency=key("k")),
    *ANNS.extended(NOON),
    *ANNS._replace(quantity=2).reduced(1),
    *ANNS.paid(reference="r"),
    *ANNS.expired(),
    *ANNS.cancelled(refund_due_minor=2500),
)


class PlacesPainted(DomainEvent, frozen=True, kw_only=True):
    """Version 1 had one `colour`, version 2 a list of `colours`, version 3 says how many `coats`."""

    TOPIC: ClassVar[str] = "PlacesPainted"
    class_version: ClassVar[int] = 3

    colours: tuple[str, ...]
    coats: int

    @staticmethod
    def upcast_v1_v2(facts: dict[str, Any]) -> None:
        facts["colours"] = [facts.pop("colour")]

    @staticmethod
    def upcast_v2_v3(facts: dict[str, Any]) -> None:
        facts["coats"] = len(facts["colours"])


@pytest.mark.parametrize("domain_event", ONE_OF_EACH, ids=lambda domain_event: domain_event.TOPIC)
def test_a_domain_event_comes_back_equal(domain_event: DomainEvent) -> None:
    for version in (1, 2**40):
        numbered = msgspec.structs.replace(domain_event, originator_version=version)
        assert decode(numbered.originator_id, version, numbered.TOPIC, encode(numbered)) == numbered


def test_each_kind_is_there() -> None:
    kinds = {cls for cls in DomainEvent.__subclasses__() if cls.__module__.startswith("domain.")}
    assert kinds == {type(domain_event) for domain_event in ONE_OF_EACH}


@pytest.mark.parametrize(
    ("state", "colours", "coats"),
    [
        ({"colour": "red"}, ("red",), 1),
        ({"class_version": 1, "colour": "red"}, ("red",), 1),
        ({"class_version": 2, "colours": ["red", "blue"]}, ("red", "blue"), 2),
        ({"class_version": 3, "colours": ["red"], "coats": 5}, ("red",), 5),
    ],
)
def test_each_older_shape_is_upcast(state: dict[str, Any], colours: tuple[str, ...], coats: int) -> None:
    facts = {"timestamp": NOON, "actor_id": "system", "request_id": uuid4()}
    painted = decode(STREAM_ID, 4, "PlacesPainted", msgspec.json.encode(facts | state))
    assert isinstance(painted, PlacesPainted)
    assert (painted.colours, painted.coats, painted.timestamp) == (colours, coats, NOON)


def test_the_version_of_a_shape_is_stored_from_the_second_on() -> None:
    painted = PlacesPainted(**about(NOON, "system", STREAM_ID), colours=("red",), coats=2)
    assert msgspec.json.decode(encode(painted))["class_version"] == 3
    assert decode(STREAM_ID, 0, "PlacesPainted", encode(painted)) == painted
    assert "class_version" not in msgspec.json.decode(encode(event_cancelled()))


@pytest.mark.parametrize("topic", ["TicketsStolen", "", "domain.reservation:ReservationStolen"])
def test_an_unknown_type_is_never_taken_for_another(topic: str) -> None:
    with pytest.raises((TopicError, ValueError)):
        decode(STREAM_ID, 1, topic, encode(event_cancelled()))


@pytest.mark.parametrize(
    "change",
    [{"timestamp": "yesterday"}, {"timestamp": 5}, {"capacity": "seven"}, {"request_id": "x"}, {"actor_id": 7}],
)
def test_a_malformed_state_is_not_loaded(change: dict[str, Any]) -> None:
    state = msgspec.json.decode(encode(capacity_changed(7))) | change
    with pytest.raises(msgspec.ValidationError):
        decode(STREAM_ID, 1, "CapacityChanged", msgspec.json.encode(state))


@pytest.mark.parametrize("domain_event", ONE_OF_EACH, ids=lambda domain_event: domain_event.TOPIC)
def test_the_librarys_mapper_agrees(domain_event: DomainEvent) -> None:
    mapper = HistoryMapper(JSONTranscoder())
    stored = mapper.to_stored_event(domain_event)
    assert (stored.topic, stored.state) == (domain_event.TOPIC, encode(domain_event))
    assert mapper.to_domain_event(stored) == domain_event


async def test_what_postgresql_gives_back_is_what_was_answered(connection: Connection, commands: GroupCommit) -> None:
    organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser, description="Grüße aus “Gent” 🎻\n")
    wish = box_office.reserve(event.event_id, buyer, idempotency=key("k"))
    created_answer = await commands.submit(event)
    placed = box_office.reservation(await commands.submit(wish)).placed
    told = await box_office.judged_history(connection)
    assert [told.streams[event.event_id][0]] == [getattr(created_answer.answer, "created", None)]
    assert told.streams[wish.reservation_id] == [placed]
