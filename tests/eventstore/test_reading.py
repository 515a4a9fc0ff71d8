"""Where in the history the domain events of a stream stand: found by the stream's own key, however long it is."""

from eventstore import reading
from eventstore.postgres.connections import Connection
from eventstore.reading import Place
from tests.projections.histories import BoxOffice, append


async def test_the_places_of_a_stream_come_in_order_and_of_one_type_alone(worker: Connection) -> None:
    commands = BoxOffice(1).commands(60)
    await append(worker, commands)
    places: dict[object, list[Place]] = {}
    for position, it in enumerate((it for command in commands for it in command), start=1):
        places.setdefault(it.originator_id, []).append(Place(it.originator_version, position, it.TOPIC))
    assert max(map(len, places.values())) > 20
    for stream_id, expected in places.items():
        assert await reading.places_after(worker, stream_id, 0, 1_000) == expected
        assert await reading.places_after(worker, stream_id, 3, 2) == expected[3:5]
        held = [place for place in expected if place.topic == "TicketsHeld"]
        assert await reading.places_after(worker, stream_id, 0, 1_000, ["TicketsHeld"]) == held


async def test_the_places_of_a_stream_are_told_apart_by_what_is_said_there(worker: Connection) -> None:
    commands = BoxOffice(1).commands(60)
    await append(worker, commands)
    recorded = [it for command in commands for it in command]
    stream_id, some = commands[0][0].originator_id, (b'"reason":"buyer"', b'"reason":"expired"')
    said = {it.originator_version: it._as_dict().get("reason") for it in recorded if it.originator_id == stream_id}
    assert {*said.values()} >= {None, "buyer", "expired"}
    for any_of, reasons in ((some[:1], {"buyer"}), (some[1:], {"expired"}), (some, {"buyer", "expired"})):
        places = await reading.places_after(worker, stream_id, 0, 1_000, ["TicketsReleased"], any_of)
        assert [place.version for place in places] == [version for version, why in said.items() if why in reasons]
    assert await reading.places_after(worker, stream_id, 0, 1_000, (), [b'"reason":"none"']) == []


async def test_a_position_is_found_in_a_stream(worker: Connection) -> None:
    commands = BoxOffice(1).commands(60)
    last = await append(worker, commands)
    positions: dict[object, list[int]] = {}
    for position, it in enumerate((it for command in commands for it in command), start=1):
        positions.setdefault(it.originator_id, []).append(position)
    longest = max(positions, key=lambda stream_id: len(positions[stream_id]))
    for stream_id in (longest, commands[1][-1].originator_id):
        for position in range(last + 2):
            before = sum(one < position for one in positions[stream_id])
            assert await reading.version_before(worker, stream_id, position) == before
    assert await reading.version_before(worker, BoxOffice(2).new_id(), last) == 0


async def test_a_stream_that_has_lost_versions_is_searched_as_far_as_it_is_whole(worker: Connection) -> None:
    commands = BoxOffice(1).commands(60)
    last = await append(worker, commands)
    stream_id = commands[0][0].originator_id
    length = len(await reading.places_after(worker, stream_id, 0, 1_000))
    await worker.execute("RESET ROLE")
    await worker.execute("ALTER TABLE stored_events DISABLE TRIGGER append_only")
    await worker.execute(
        "DELETE FROM stored_events WHERE originator_id = %s AND originator_version BETWEEN 2 AND %s",
        (stream_id, length - 1),
    )
    assert await reading.version_before(worker, stream_id, last + 1) == 0
