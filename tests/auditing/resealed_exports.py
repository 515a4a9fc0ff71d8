"""What an attacker makes of an export: something altered, and the seal over it made again with a key of his own."""

from itertools import takewhile

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from auditing.export.records import DomainEventRecord, End, PublicKey, Record, SealRecord, lines, record
from auditing.verify.checks.kept_seal import KeptSeal
from eventstore.seals import seal_keys, seals
from eventstore.seals.merkle import leaf_hash, root_with_proof
from tests.auditing.verify.test_verify_file import with_end


def seals_of(exported: bytes) -> list[int]:
    """The numbers of an export's seals."""
    return [one.number for one in map(record, exported.splitlines()) if isinstance(one, SealRecord)]


def kept_of(exported: bytes, number: int) -> KeptSeal:
    """A seal of an export, as if it had been kept."""
    told = list(map(record, exported.splitlines()))
    keys = {one.kid: one.as_jwk() for one in told if isinstance(one, PublicKey)}
    (jws,) = (one.jws for one in told if isinstance(one, SealRecord) and one.number == number)
    return KeptSeal(jws, seals.check(jws, keys))


def file_of(kept: KeptSeal, exported: bytes) -> bytes:
    """The same, as `newest-seal` writes it."""
    told = map(record, exported.splitlines())
    keys = {one.kid: one.as_jwk() for one in told if isinstance(one, PublicKey)}
    return msgspec.json.encode({"seal": kept.jws, "key": keys[seals.key_id_of(kept.jws)]})


def resealed(exported: bytes, number: int) -> tuple[bytes, str]:
    """An export whose seal of this number seals something else, and the name of the key that was put in for it."""
    told: list[Record] = list(map(record, exported.splitlines()))
    place, seal = next((n, one) for n, one in enumerate(told) if isinstance(one, SealRecord) and one.number == number)
    private_key = Ed25519PrivateKey.generate()
    public_key = OKPAlgorithm.to_jwk(private_key.public_key(), as_dict=True) | {"use": "sig", "alg": "EdDSA"}
    key = seal_keys.SigningKey(seal_keys.thumbprint(public_key), private_key)
    altered = [one for one in told if isinstance(one, DomainEventRecord)]
    last_command = max(one.command_position for one in altered if one.position <= seal.last_position)
    # All of a command, so that no rule is broken.
    for n, one in enumerate(told):
        if isinstance(one, DomainEventRecord) and one.command_position == last_command:
            state = msgspec.json.decode(one.state) | {"request_id": "00000000-0000-4000-8000-000000000666"}
            told[n] = msgspec.structs.replace(one, state=msgspec.Raw(msgspec.json.encode(state)))
    rows = [one.as_row() for one in takewhile(lambda one: isinstance(one, DomainEventRecord), told[place - 1 :: -1])]
    leaves = {row.position - seal.first_position: leaf_hash(row) for row in reversed(rows)}
    proof = iter([bytes.fromhex(hash_) for hash_ in seal.missing or ()])
    root = root_with_proof(seal.last_position - seal.first_position + 1, leaves, proof)
    said = msgspec.structs.replace(kept_of(exported, number).claims, root_sha256=root.hex())
    prints = seals.fingerprints(list(leaves.values()))
    told[place] = msgspec.structs.replace(seal, jws=seals.sign(key, said), fingerprints=prints)
    told.insert(1, PublicKey(kid=key.key_id, **public_key))
    assert isinstance(told.pop(), End)
    return with_end(lines(told)), key.key_id
