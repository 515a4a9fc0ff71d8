"""Domain events as other systems get them: the attributes that CloudEvents 1.0 asks for, and the stored state."""

import json
import re
from datetime import datetime

import msgspec
import pytest

from auditing.export.cloud_events import cloud_event
from eventstore.codec import encode
from eventstore.reading import StoredRow
from tests.projections.histories import BoxOffice

ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")


def stored(seed: int) -> list[StoredRow]:
    """A random history as it would be stored."""
    domain_events = [domain_event for command in BoxOffice(seed).commands(200) for domain_event in command]
    return [
        StoredRow(place, place, it.originator_id, it.originator_version, it.TOPIC, encode(it))
        for place, it in enumerate(domain_events, 1)
    ]


def test_every_kind_of_domain_event_is_a_cloud_event() -> None:
    rows = stored(1)
    events = {str(row.stream_id) for row in rows if row.topic == "EventCreated"}
    assert len({row.topic for row in rows}) > 10
    for row in rows:
        sent = json.loads(msgspec.json.encode(cloud_event(row)))
        assert all(ATTRIBUTE.fullmatch(name) for name in sent)
        assert (sent["specversion"], sent["id"], sent["type"]) == ("1.0", str(row.position), f"tixxety.{row.topic}")
        of_event = str(row.stream_id) in events
        assert sent["source"] == f"/{'events' if of_event else 'reservations'}/{row.stream_id}"
        assert sent["subject"] == sent["partitionkey"]
        assert sent["subject"] in events
        assert datetime.fromisoformat(sent["time"]).utcoffset() is not None
        assert (sent["datacontenttype"], sent["data"]) == ("application/json", json.loads(row.state))


def test_the_state_is_passed_on_byte_by_byte() -> None:
    row = stored(2)[0]
    assert row.state in msgspec.json.encode(cloud_event(row))


def test_sequences_sort_as_text_in_the_order_of_the_history() -> None:
    row = stored(3)[0]
    positions = [1, 9, 10, 123, 10**9, 2**63 - 1]
    sequences = [cloud_event(row._replace(position=position)).sequence for position in positions]
    assert sequences == sorted(sequences)
    assert [int(sequence) for sequence in sequences] == positions


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b"{}", b'{"timestamp":1}'])
def test_what_is_no_domain_event_is_no_cloud_event(state: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        cloud_event(stored(4)[0]._replace(state=state))
