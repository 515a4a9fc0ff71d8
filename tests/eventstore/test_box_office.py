"""What is called after a box office: the default's names never change, and no two box offices share one."""

from uuid import UUID

import pytest

from eventstore.box_office import (
    JOBS_KEY,
    MIGRATION_KEY,
    POSITION_KEY,
    REBUILD_KEY,
    SEAL_KEYS_KEY,
    BoxOffice,
)

STREAM = UUID("0190f6a2-7d11-7c4e-8f3a-5b6c7d8e9f10")
NAMES = ("tixxety", "hall", "history", "app", "a", "projections1")


def schemas_of(office: BoxOffice) -> list[str]:
    return [office.history, office.projections, office.next_projections, office.old_projections]


def channels_of(office: BoxOffice) -> list[str]:
    return [office.channel, office.projections]


def roles_of(office: BoxOffice) -> list[str]:
    return list(office.roles.values())


def test_the_default_is_called_as_it_always_was() -> None:
    """Programs of older versions serve beside this one, and have to meet the same locks, channels and roles."""
    office = BoxOffice.at("postgresql://somewhere")
    assert schemas_of(office) == ["tixxety", "projections", "projections_next", "projections_old"]
    assert channels_of(office) == ["history", "projections"]
    assert roles_of(office) == ["tixxety_app", "tixxety_worker", "tixxety_analyst"]
    assert office.search_path == "tixxety, projections, public"
    assert office.lock(POSITION_KEY) == {"lock_class": 7261, "lock_key": 1}
    assert (MIGRATION_KEY, JOBS_KEY, SEAL_KEYS_KEY, REBUILD_KEY) == (2, 3, 7, 8)
    assert office.projector_class == 7262
    assert office.stream_key(STREAM) == -8_166_523_873_997_626_530


def test_another_keeps_its_numbers() -> None:
    """A process of another version or machine has to make the same ones."""
    office = BoxOffice(name="hall")
    assert (office.lock(JOBS_KEY), office.projector_class) == ({"lock_class": 326967204, "lock_key": 3}, 326967205)
    assert office.stream_key(STREAM) == -5_615_911_109_050_514_512


def test_no_two_share_a_name_or_a_lock() -> None:
    offices = [BoxOffice(name=name) for name in NAMES]
    for kind in (schemas_of, channels_of, roles_of):
        names = [name for office in offices for name in kind(office)]
        assert len(set(names)) == len(names)
    classes = [number for office in offices for number in (office.lock(JOBS_KEY)["lock_class"], office.projector_class)]
    assert all(0 < number < 1 << 31 for number in classes)
    assert len(set(classes)) == len(classes)
    assert len({office.stream_key(STREAM) for office in offices}) == len(offices)
    assert all(-(1 << 63) <= office.stream_key(STREAM) < 1 << 63 for office in offices)


@pytest.mark.parametrize(
    "name", ["", "Hall", "1st", "a_b", "a b", "hall\n", "h\u00e4lle", "a" * 15, "public", "projections", "pg"]
)
def test_a_name_that_could_be_mistaken_for_anothers_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't be the name of a box office"):
        BoxOffice(name=name)


def test_its_url_is_not_shown_since_it_may_have_a_password() -> None:
    assert "secret" not in repr(BoxOffice("postgresql://me:secret@here/it"))
