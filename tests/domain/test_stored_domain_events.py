"""What was stored loads for ever: one golden sample for each class of domain event and version of its shape."""

import json
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from domain.domain_event import DomainEvent
from domain.event_facts import Limits
from eventstore.codec import decode, encode
from tests.domain.builders import CONCERT, created
from tests.domain.purchase import ANNS

GOLDEN = Path(__file__).parent / "golden"
STREAM_ID, VERSION = UUID(int=0x57), 3
TOPICS = {
    "CapacityChanged",
    "EventCancelled",
    "EventCreated",
    "EventDetailsChanged",
    "HoldExtended",
    "LimitsChanged",
    "ReservationCancelled",
    "ReservationExpired",
    "ReservationExtended",
    "ReservationPaid",
    "ReservationPlaced",
    "ReservationReduced",
    "PriceChanged",
    "SalesWindowChanged",
    "TicketsHeld",
    "TicketsReduced",
    "TicketsReleased",
    "TicketsReturned",
    "TicketsSold",
    "TicketsWithheld",
    "TicketTypeAdded",
}
OPTIONAL = ["idempotency", "payment_reference"]


def classes() -> dict[str, type[DomainEvent]]:
    return {cls.TOPIC: cls for cls in DomainEvent.__subclasses__() if cls.__module__.startswith("domain.")}


def golden_samples() -> list[tuple[str, int, str]]:
    """Type, version and, where a version has a further sample of what may be absent, what that one has."""
    names = [path.name.split(".") for path in sorted(GOLDEN.glob("*.json"))]
    return [(topic, int(version[1:]), ".".join(has)) for topic, version, *has in names]


def golden(topic: str, shape_version: int, has: str = "json") -> bytes:
    """The stored bytes: the file is spread over lines for people only."""
    state = json.loads((GOLDEN / f"{topic}.v{shape_version}.{has}").read_text(encoding="utf-8"))
    return json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()


def test_stored_names_never_change() -> None:
    assert classes().keys() == TOPICS


def test_each_class_has_a_golden_sample_of_each_version() -> None:
    expected = [(cls.TOPIC, version) for cls in classes().values() for version in range(1, cls.class_version + 1)]
    assert sorted(sample[:2] for sample in golden_samples() if sample[2] == "json") == sorted(expected)


@pytest.mark.parametrize(("topic", "shape_version", "has"), golden_samples())
def test_a_golden_sample_loads(topic: str, shape_version: int, has: str) -> None:
    domain_event = decode(STREAM_ID, VERSION, topic, golden(topic, shape_version, has))
    assert type(domain_event) is classes()[topic]
    assert (domain_event.originator_id, domain_event.originator_version) == (STREAM_ID, VERSION)


@pytest.mark.parametrize(("topic", "shape_version", "has"), golden_samples())
def test_a_golden_sample_is_stored_again_as_it_was(topic: str, shape_version: int, has: str) -> None:
    if shape_version < classes()[topic].class_version:
        pytest.skip("an older shape is upcast")
    assert encode(decode(STREAM_ID, VERSION, topic, golden(topic, shape_version, has))) == golden(
        topic, shape_version, has
    )


@pytest.mark.parametrize(("topic", "shape_version", "has"), golden_samples())
def test_what_is_optional_may_be_absent(topic: str, shape_version: int, has: str) -> None:
    state = json.loads(golden(topic, shape_version, has))
    without = {name: value for name, value in state.items() if name not in OPTIONAL}
    domain_event = decode(STREAM_ID, VERSION, topic, json.dumps(without).encode())
    for name in OPTIONAL:
        assert getattr(domain_event, name, None) is None
        assert name not in json.loads(encode(domain_event))


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_what_is_required_may_not_be_absent(topic: str) -> None:
    state = json.loads(golden(topic, 1))
    for name in set(state) - set(OPTIONAL):
        without = {key: value for key, value in state.items() if key != name}
        with pytest.raises(msgspec.ValidationError):
            decode(STREAM_ID, VERSION, topic, json.dumps(without).encode())


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_who_when_and_in_which_request_is_in_the_state_and_the_stream_is_not(topic: str) -> None:
    state = json.loads(golden(topic, 1))
    assert {"timestamp", "actor_id", "request_id"} <= state.keys()
    assert not {"originator_id", "originator_version", "originator_topic"} & state.keys()


def test_a_domain_event_comes_back_as_it_was_stored() -> None:
    held, placed = ANNS.reserved()
    for domain_event in (created(), held, placed, *ANNS.paid(reference="bänk"), *ANNS.cancelled(refund_due_minor=1)):
        stream_id, version = domain_event.originator_id, domain_event.originator_version
        assert decode(stream_id, version, domain_event.TOPIC, encode(domain_event)) == domain_event


def test_limits_are_stored_also_where_they_are_the_defaults_of_today() -> None:
    state = json.loads(encode(msgspec.structs.replace(created(), limits=Limits(max_per_buyer=1, hold_seconds=120))))
    assert state["limits"] == {"max_per_buyer": 1, "hold_seconds": 120}


def test_a_time_zone_is_stored_where_it_is_not_utc() -> None:
    assert "time_zone" not in json.loads(encode(created()))["details"]
    assert json.loads(encode(created(time_zone="Europe/Riga")))["details"]["time_zone"] == "Europe/Riga"
    stored = decode(STREAM_ID, VERSION, "EventCreated", golden("EventCreated", 1))
    assert stored.details.time_zone == "UTC"
    changed = decode(STREAM_ID, VERSION, "EventDetailsChanged", golden("EventDetailsChanged", 1, "time-zone.json"))
    assert changed.details.time_zone == "Europe/Brussels"


def test_a_stream_and_version_come_from_the_columns() -> None:
    domain_event = decode(CONCERT, 7, "EventCancelled", golden("EventCancelled", 1))
    assert (domain_event.originator_id, domain_event.originator_version) == (CONCERT, 7)
