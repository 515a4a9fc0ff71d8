"""The locks: one set of versions for the clone and the image, with hashes, without addresses, and nothing in vain."""

import json
import re
import tomllib
from importlib.metadata import requires
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.running import ROOT

CLONE, IMAGE, PARQUET = "requirements.lock", "requirements-image.lock", "requirements-parquet.lock"
# Of versions of its own: these packages are never installed beside the others.
CLIENTS, TYPESCRIPT = "requirements-clients.lock", ROOT / "tests/campaigns/clients/typescript"
LOCKS = (CLONE, IMAGE, PARQUET, CLIENTS)
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = DECLARED["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


class Locked(NamedTuple):
    """One package of a lock: what is installed, where, and the hashes that it may have."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def version(self) -> str:
        return str(self.requirement.specifier).removeprefix("==")

    @property
    def is_for_here(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def locked(lock: str) -> dict[str, Locked]:
    """The packages of a lock by their names."""
    packages = {}
    for entry in re.split(r"\n(?=[^\s#])", (ROOT / lock).read_text()):
        if not entry.startswith("#"):
            words = entry.replace("\\\n", " ").partition(" --hash=")
            requirement = Requirement(words[0])
            packages[requirement.name] = Locked(requirement, frozenset(re.findall(r"sha256:[0-9a-f]{64}", words[2])))
    return packages


def needed_here(requirements: list[str]) -> set[str]:
    """The names of what these ask for, and of all that is asked for by that, on this platform and Python."""
    names: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    asked = [Requirement(text) for text in requirements]
    while asked:
        requirement = asked.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        names.add(name)
        if (name, extras) not in seen:
            seen.add((name, extras))
            further = [Requirement(text) for text in requires(name) or ()]
            asked += [
                each
                for each in further
                if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in (*extras, ""))
            ]
    return names


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted", (ROOT / lock).read_text())
    for name, package in locked(lock).items():
        assert re.fullmatch(r"==\S+", str(package.requirement.specifier)), name
        assert package.hashes, name


@pytest.mark.parametrize("lock", [IMAGE, PARQUET])
def test_every_lock_has_the_versions_and_hashes_of_the_clone(lock: str) -> None:
    clone = locked(CLONE)
    for name, package in locked(lock).items():
        assert (package.version, package.hashes) == (clone[name].version, clone[name].hashes), name


def test_the_clone_has_all_that_the_project_asks_for() -> None:
    clone = locked(CLONE)
    for text in (*PROJECT["dependencies"], *(each for extra in EXTRAS.values() for each in extra)):
        requirement = Requirement(text)
        assert requirement.specifier.contains(clone[canonicalize_name(requirement.name)].version), text


def test_what_makes_clients_is_locked_as_it_is_asked_for() -> None:
    clients = locked(CLIENTS)
    for text in DECLARED["dependency-groups"]["clients"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(clients[canonicalize_name(requirement.name)].version), text


def test_the_lock_of_packages_for_typescript_has_hashes_and_no_addresses() -> None:
    asked = json.loads((TYPESCRIPT / "package.json").read_text())["devDependencies"]
    lock = json.loads((TYPESCRIPT / "package-lock.json").read_text())["packages"]
    assert lock.pop("")["devDependencies"] == asked
    assert {name: lock[f"node_modules/{name}"]["version"] for name in asked} == asked
    for name, package in lock.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


@pytest.mark.parametrize(
    ("lock", "wanted"), [(IMAGE, PROJECT["dependencies"]), (PARQUET, EXTRAS["parquet"])], ids=["image", "parquet"]
)
def test_a_lock_has_what_is_needed_and_no_more(lock: str, wanted: list[str]) -> None:
    assert {name for name, package in locked(lock).items() if package.is_for_here} == needed_here(wanted)
