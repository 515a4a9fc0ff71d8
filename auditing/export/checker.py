"""Checks an export of a history of Tixxety: needs nothing but Python 3.11 or newer and the package cryptography.

    python3 -m pip install cryptography
    python3 THIS_FILE history.ndjson [--seal newest-seal.json]

It judges everything or one event's part of it: seals, inclusion proofs, hashes and order. Whether the rules of selling
were kept is for `tixxety verify --file`. It ends with 0 where all is well, with 1 where something is not, and with 2
where it could not look; each fault is one sentence. Memory grows with the number of reservations, 150 MB a million.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from base64 import b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.stderr.write("This needs the package cryptography: python3 -m pip install cryptography\n")
    sys.exit(2)

# Of leaves more than the longest range has: what comes without a seal need not be kept any longer.
LARGEST, LINE_BYTES, FINGERPRINT_BYTES, FAULTS_TOLD, MOST_LEAVES = 2**63 - 1, 16_000_000, 4, 20, 65_536
# What comes of a line that says something else than it should.
WRONG = (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error, RecursionError)

# The lines as they are written, byte for byte: what is hashed is the state as it stands there.
DOMAIN_EVENT = re.compile(
    rb'\{"kind":"domain-event","position":(\d{1,19}),"command_position":(\d{1,19}),"stream":"([0-9a-f-]{36})",'
    rb'"version":(\d{1,19}),"type":"([^"\\]{1,4000})","state":(\{.*\})\}\n'
)
FIELDS = {
    "export": ["kind", "format_version", "scope", "event_id", "head", "exported_at"],
    "key": ["kind", "kid", "kty", "crv", "x", "use", "alg"],
    "seal": ["kind", "number", "first_position", "last_position", "sealed_at", "jws", "fingerprints"],
    "end": ["kind", "domain_events", "seals", "sha256"],
}
LATER = ("domain-event", "seal", "end")
FOLLOWERS = {"": ("export",), "export": ("key", *LATER), "key": ("key", *LATER), "domain-event": LATER, "seal": LATER}

Says = dict[str, Any]


class NotReadable(Exception):
    """The file is no whole export, or it can't be judged."""


def read_line(line: bytes) -> Says:
    """What a line says. Raises ValueError and others for one that was not written so."""
    if found := DOMAIN_EVENT.fullmatch(line):
        position, command_position, stream, version, kind, state = found.groups()
        counts = {"position": int(position), "command_position": int(command_position), "version": int(version)}
        return {"kind": "domain-event", **counts, "stream": UUID(stream.decode()), "type": kind, "state": state}
    says: Says = json.loads(line.decode())
    written = json.dumps(says, separators=(",", ":"), ensure_ascii=False) + "\n"
    if written != line.decode() or FIELDS[says["kind"]] != [name for name in says if name != "missing"]:
        raise ValueError("not as it is written")
    return says


def leaf_hash(says: Says) -> bytes:
    """SHA-256 of everything that is stored of one domain event."""
    place = (says["position"], says["command_position"], says["version"], says["stream"].bytes, len(says["type"]))
    return hashlib.sha256(b"\0" + struct.pack(">QQQ16sH", *place) + says["type"] + says["state"]).digest()


def root_hash(leaves: dict[int, bytes], first: int, last: int, shown: list[int], missing: Iterator[bytes]) -> bytes:
    """The root over a range (RFC 9162, 2.1), from leaves that are shown and the roots of the parts without any."""
    if not shown:
        return next(missing)
    if first == last:
        return leaves[first]
    middle = first + (1 << (last - first).bit_length() - 1)
    split = bisect_left(shown, middle)
    left = root_hash(leaves, first, middle - 1, shown[:split], missing)
    return hashlib.sha256(b"\1" + left + root_hash(leaves, middle, last, shown[split:], missing)).digest()


def from_base64url(text: str) -> bytes:
    """Raises ValueError."""
    return b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def thumbprint(key: Says) -> str:
    """The name of an Ed25519 key (RFC 7638)."""
    required = json.dumps({name: key[name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
    return urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).rstrip(b"=").decode()


def claims_of(jws: str, keys: dict[str, Says]) -> tuple[str, Says | None]:
    """The name of the key that a seal was signed with, and what it says; None where that is not signed with it."""
    key_id = "no key"
    try:
        head, payload, signature = jws.split(".")
        header = json.loads(from_base64url(head))
        key_id = str(header["kid"])
        public_key = Ed25519PublicKey.from_public_bytes(from_base64url(keys[key_id]["x"]))
        public_key.verify(from_base64url(signature), f"{head}.{payload}".encode())
        claims: Says = json.loads(from_base64url(payload))
        is_range = 1 <= claims["first_position"] <= claims["last_position"] <= LARGEST and claims["number"] >= 1
        is_seal = is_range and header["alg"] == "EdDSA" and "crit" not in header
    except (*WRONG, InvalidSignature):
        return key_id, None
    return key_id, claims if is_seal else None


def sha256_of(jws: str) -> str:
    """By which the next seal is bound to this one."""
    return hashlib.sha256(jws.encode()).hexdigest() if jws else "0" * 64


class Check:
    """Takes the lines of an export in order and keeps what is wrong with them, a sentence for each fault."""

    def __init__(self, kept: tuple[str, str, Says] | None) -> None:
        self.faults, self.faults_count = list[str](), 0
        self.domain_events = self.seals = self.position = self.sealed_through = self.number = self.learned_through = 0
        self.signed_by, self.not_bound, self.bound, self.digest = set[str](), set[str](), set[str](), hashlib.sha256()
        self.kept, self.knows_kept, self.has_event, self.jws = kept, False, False, ""
        self.keys, self.versions, self.leaves = dict[str, Says](), dict[bytes, int](), dict[int, bytes]()

    def fault(self, sentence: str) -> None:
        self.faults_count += 1
        self.faults += [sentence][: FAULTS_TOLD - len(self.faults)]

    def begin(self, says: Says) -> None:
        if says["format_version"] != 1 or says["scope"] not in ("everything", "event"):
            raise NotReadable("The file has a format that this program does not read.")
        self.head, self.is_whole = says, says["scope"] == "everything"

    def take_key(self, says: Says) -> None:
        if thumbprint(says) == says["kid"]:
            self.keys[says["kid"]] = says
        else:
            self.fault(f"The key {says['kid']} is published under another's name.")

    def take_domain_event(self, says: Says) -> None:
        position, stream, version = says["position"], says["stream"], says["version"]
        if position <= self.position:
            self.fault(f"Position {position:,} comes after {self.position:,}.")
        elif self.is_whole and position > self.position + 1:
            self.fault(f"What was recorded between positions {self.position:,} and {position:,} is missing.")
        if version != (due := self.versions.get(stream.bytes, 0) + 1):
            self.fault(f"Position {position:,} has version {version:,} of its stream, not {due:,}.")
        self.position, self.versions[stream.bytes], self.domain_events = position, version, self.domain_events + 1
        told = json.loads(says["state"].decode())
        is_of_event = str(stream) == self.head["event_id"]
        self.has_event |= is_of_event
        if not self.is_whole and not is_of_event and told.get("event_id") != self.head["event_id"]:
            self.fault(f"Position {position:,} is not about the event of this file.")
        self.leaves[position] = b"" if position in self.leaves else leaf_hash(says)
        if len(self.leaves) > MOST_LEAVES:
            self.leaves.clear()

    def take_seal(self, says: Says) -> None:
        number, least, leaves, self.leaves = says["number"], self.learned_through + 1, self.leaves, {}
        follows = self.is_whole or number == self.number + 1
        if number <= self.number or (self.is_whole and number > self.number + 1):
            self.fault(f"Seal {number:,} comes after seal {self.number:,}.")
        key_id, claims = claims_of(says["jws"], self.keys)
        self.signed_by.add(key_id)
        if claims is None:
            self.fault(f"Seal {number:,} is not signed with a key that the file has: {key_id}.")
        else:
            first = claims["first_position"]
            at, signed_at = (datetime.fromisoformat(one["sealed_at"]) for one in (says, claims))
            if at != signed_at or any(says[name] != claims[name] for name in FIELDS["seal"][1:4]):
                self.fault(f"What stands beside seal {number:,} is not what is signed.")
            if follows and claims["previous_sha256"] != sha256_of(self.jws):
                self.fault(f"Seal {number:,} was bound to another seal than the one before it.")
            if first < least or (follows and first > least):
                self.fault(f"Seal {number:,} begins at position {first:,}, and {least:,} is due.")
            if first >= least:
                self.judge(says, claims, leaves)
        self.learned_through = max(self.learned_through, (claims or says)["last_position"])
        is_bound = claims is not None and claims["previous_sha256"] == sha256_of(self.jws)
        self.number, self.jws, self.seals = max(self.number, number), says["jws"], self.seals + 1
        self.look_for_kept(number, says["jws"], key_id, is_bound)

    def judge(self, says: Says, claims: Says, leaves: dict[int, bytes]) -> None:
        number, first, last, shown = says["number"], claims["first_position"], claims["last_position"], sorted(leaves)
        missing = iter([bytes.fromhex(one) for one in (() if self.is_whole else says.get("missing", ()))])
        prints, size = b64decode(says["fingerprints"], validate=True), FINGERPRINT_BYTES
        differs = [place for n, place in enumerate(shown) if leaves[place][:size] != prints[n * size : (n + 1) * size]]
        try:
            is_within = shown and first <= shown[0] and shown[-1] <= last
            root = root_hash(leaves, first, last, shown, missing).hex() if is_within else ""
            holds = root == claims["root_sha256"] and next(missing, None) is None
        except StopIteration:
            holds = False
        if not holds:
            where = f", from {differs[0]:,} on" if differs else ""
            told = f"of positions {first:,} to {last:,} something was altered or is not there"
            self.fault(f"Seal {number:,} does not hold: {told}{where}.")
        elif differs or len(prints) != size * len(shown):
            self.fault(f"The fingerprints of seal {number:,} are not those of what it seals.")
        self.sealed_through = last if holds else self.sealed_through

    def look_for_kept(self, number: int, jws: str, key_id: str, is_bound: bool) -> None:
        kept, kept_key_id, claims = self.kept or ("", key_id, {"number": -1})
        # Whatever the kept seal binds is proved; of all else, what is signed with its key.
        self.not_bound |= set() if is_bound else self.bound
        self.bound = (self.bound if is_bound else set()) | {key_id} - {kept_key_id}
        if number not in (claims["number"] - 1, claims["number"]):
            return
        self.knows_kept = True
        if jws != kept if number == claims["number"] else sha256_of(jws) != claims["previous_sha256"]:
            self.fault(f"Seal {number:,} was made again: the one that was kept was, or was bound to, another.")
        self.bound = set()

    def end(self, says: Says) -> None:
        if says["sha256"] != self.digest.hexdigest():
            self.fault("The file is not what was written: its SHA-256 is another.")
        if (says["domain_events"], says["seals"]) != (self.domain_events, self.seals):
            self.fault("The file has not as many domain events and seals as were written.")
        if self.position > self.head["head"] or (self.is_whole and self.position < self.head["head"]):
            self.fault(f"The file ends at {self.position:,}, and the history ended at {self.head['head']:,}.")
        if not (self.is_whole or self.has_event):
            self.fault("The file has nothing of the event that it says it is about.")
        if self.kept and not self.knows_kept:
            if not self.is_whole:
                raise NotReadable("The file has no seal by which the kept one could be judged.")
            self.fault(f"Seal {self.kept[2]['number']:,}, which was kept, is gone.")
        if (keys := ", ".join(sorted(self.not_bound | self.bound))) and not self.faults:
            raise NotReadable(f"The kept seal does not prove all: compare the key {keys} with what is published.")


def check_file(path: Path, kept: tuple[str, str, Says] | None) -> Check:
    """What is found in a file. Raises NotReadable and OSError."""
    check, before = Check(kept), ""
    take = {"export": check.begin, "key": check.take_key, "domain-event": check.take_domain_event}
    take |= {"seal": check.take_seal, "end": check.end}
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES), b""), 1):
            try:
                says = read_line(line)
                if says["kind"] not in FOLLOWERS.get(before, ()):
                    raise NotReadable(f"Line {number:,} may not be of the kind {says['kind']} there.")
                take[says["kind"]](says)
            except WRONG as wrong:
                raise NotReadable(f"Line {number:,} is none of an export as it is written, or was cut.") from wrong
            before = says["kind"]
            check.digest.update(line)
    if before != "end":
        raise NotReadable("The file is no export, or was cut: it ends without its last line.")
    return check


def kept_seal(path: Path) -> tuple[str, str, Says]:
    """The seal that `tixxety newest-seal` wrote, the name of its key, what it says. Raises NotReadable and OSError."""
    try:
        told = json.loads(path.read_text("utf-8"))
        key_id, claims = claims_of(told["seal"], {thumbprint(told["key"]): told["key"]})
    except WRONG as error:
        raise NotReadable(f"{path} holds no seal.") from error
    if claims is None:
        raise NotReadable(f"{path} holds no seal that is signed with its key.")
    return told["seal"], key_id, claims


def in_words(check: Check) -> Iterator[str]:
    """What was found, line by line."""
    what = "everything" if check.is_whole else f"the event {check.head['event_id']}"
    yield f"Read {check.domain_events:,} domain events of {what}, as it was at {check.head['exported_at']}."
    yield f"Sealed up to position {check.sealed_through:,}; what comes after that is vouched for by nobody yet."
    if check.signed_by:
        keys = ", ".join(sorted(check.signed_by))
        yield f"The seals are signed with {keys}: compare with what the box office publishes, or give --seal."
    yield f"NOT WELL: {check.faults_count:,} faults." if check.faults else "All is well."
    yield from (f"  {sentence}" for sentence in check.faults)


def main() -> int:
    """What to end with."""
    options = argparse.ArgumentParser(description="Checks an export of a history of Tixxety.")
    options.add_argument("file", type=Path, help="what tixxety export wrote as NDJSON: everything, or one event")
    options.add_argument("--seal", type=Path, metavar="FILE", help="what tixxety newest-seal wrote, kept elsewhere")
    asked = options.parse_args()
    try:
        check = check_file(asked.file, kept_seal(asked.seal) if asked.seal else None)
    except (OSError, NotReadable) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("\n".join(in_words(check)) + "\n")
    return 1 if check.faults else 0


if __name__ == "__main__":
    sys.exit(main())
