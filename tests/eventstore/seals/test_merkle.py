"""The hashes over the history are those of RFC 9162, and a part of a range can be proved without the rest."""

import gc
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.reading import StoredRow
from eventstore.seals.merkle import leaf_hash, proof, root_hash, root_with_proof


def by_the_book(entries: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word by word; the entries are hashed already."""
    if len(entries) == 1:
        return entries[0]
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return sha256(b"\x01" + by_the_book(entries[:k]) + by_the_book(entries[k:])).digest()


def leaves(count: int) -> list[bytes]:
    return [sha256(bytes([n % 256, n // 256])).digest() for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100])
def test_the_root_is_that_of_the_book(count: int) -> None:
    assert root_hash(leaves(count)) == by_the_book(leaves(count))


@given(st.integers(1, 70), st.data())
def test_some_leaves_and_the_proof_give_the_root(count: int, data: st.DataObject) -> None:
    shown = sorted(data.draw(st.sets(st.integers(0, count - 1))))
    missing = iter(proof(leaves(count), shown))
    known = {place: leaves(count)[place] for place in shown}
    assert root_with_proof(count, known, missing) == root_hash(leaves(count))
    assert next(missing, None) is None


@given(st.integers(2, 70), st.data())
def test_an_altered_leaf_gives_another_root(count: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, count - 1))
    altered = {place: sha256(b"altered").digest()}
    assert root_with_proof(count, altered, iter(proof(leaves(count), [place]))) != root_hash(leaves(count))


def test_a_proof_that_is_too_short_is_noticed() -> None:
    with pytest.raises(StopIteration):
        root_with_proof(8, {0: leaves(8)[0]}, iter(proof(leaves(8), [0])[:-1]))


def test_one_of_many_costs_as_many_hashes_as_the_tree_is_deep() -> None:
    assert len(proof(leaves(1 << 14), [4711])) == 14


def test_everything_that_is_stored_counts() -> None:
    row = StoredRow(7, 8, UUID(int=5), 3, "TicketsHeld", b'{"quantity":1}')
    changes = [
        {"position": 6},
        {"command_position": 7},
        {"stream_id": UUID(int=6)},
        {"version": 4},
        {"topic": "TicketsSold"},
        {"state": b'{"quantity":2}'},
        # What moves between two columns counts as well.
        {"topic": "TicketsHeld{", "state": b'"quantity":1}'},
    ]
    assert len({leaf_hash(row), *(leaf_hash(row._replace(**change)) for change in changes)}) == len(changes) + 1  # type: ignore[arg-type]


def test_the_hash_of_a_domain_event_stays_what_it_is() -> None:
    """Whoever keeps a seal will check it in ten years: this value may never change."""
    row = StoredRow(7, 8, UUID("019a0000-0000-7000-8000-000000000001"), 3, "TicketsHeld", '{"title":"Ægir"}'.encode())
    parts = (7).to_bytes(8, "big") + (8).to_bytes(8, "big") + (3).to_bytes(8, "big")
    parts += bytes.fromhex("019a000000007000800000000000000100 0b".replace(" ", "")) + b"TicketsHeld"
    assert leaf_hash(row) == sha256(b"\x00" + parts + '{"title":"Ægir"}'.encode()).digest()


def test_nothing_is_left_to_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        shown = dict(enumerate(leaves(9)))
        root_with_proof(10, shown, iter(proof(leaves(10), list(shown))))
        assert gc.collect() == 0
    finally:
        gc.enable()
