"""Hashes of the history: one for each domain event, and Merkle trees over ranges of them (RFC 9162, section 2.1)."""

import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256

from eventstore.reading import StoredRow

# position, command_position, version, stream, length of the type; then the type and the state, both in UTF-8.
_HEAD = struct.Struct(">QQQ16sH")

LEAF, NODE = b"\0", b"\1"


def leaf_hash(row: StoredRow) -> bytes:
    """SHA-256 of everything that is stored of one domain event, 32 bytes."""
    position, command_position, stream_id, version, topic, state = row
    name = topic.encode()
    head = _HEAD.pack(position, command_position, version, stream_id.bytes, len(name))
    return sha256(LEAF + head + name + state).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree over the leaves' hashes, of which there is at least one."""
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [
            sha256(NODE + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)
        ] + odd
    return level[0]


def proof(leaves: Sequence[bytes], shown: Sequence[int]) -> list[bytes]:
    """What has to be known beside the shown leaves to work the root out: the roots of the subtrees without any of them.

    `shown` are places in `leaves`, 0 first, in rising order. The hashes come from left to right; their number grows
    with the shown leaves and the depth of the tree only.
    """
    return list(_missing(leaves, 0, len(leaves), shown))


def root_with_proof(size: int, shown: dict[int, bytes], missing: Iterator[bytes]) -> bytes:
    """The root of a tree of `size` leaves, from some of them by place and the `proof` for the rest.

    Raises StopIteration when the proof is too short; whether it was used up is for the caller to see.
    """
    return _subtree(shown, missing, 0, size, sorted(shown))


# Not within the functions above: what calls itself there is a cycle, and keeps all leaves until the collector comes.
def _missing(leaves: Sequence[bytes], low: int, high: int, shown: Sequence[int]) -> Iterator[bytes]:
    if not shown:
        yield root_hash(leaves[low:high])
    elif high - low > 1:
        middle = low + _left_size(high - low)
        yield from _missing(leaves, low, middle, [place for place in shown if place < middle])
        yield from _missing(leaves, middle, high, [place for place in shown if place >= middle])


def _subtree(leaves: dict[int, bytes], missing: Iterator[bytes], low: int, high: int, shown: Sequence[int]) -> bytes:
    if not shown:
        return next(missing)
    if len(shown) == high - low:
        return root_hash([leaves[place] for place in shown])
    middle = low + _left_size(high - low)
    left = _subtree(leaves, missing, low, middle, [place for place in shown if place < middle])
    right = _subtree(leaves, missing, middle, high, [place for place in shown if place >= middle])
    return sha256(NODE + left + right).digest()


def _left_size(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
