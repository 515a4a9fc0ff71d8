"""The versions of the history's schema: one file of statements each, run in order and once."""

from importlib import resources
from itertools import groupby

# Raised with every change of what `tixxety migrate` makes.
SCHEMA_VERSION = 3


def steps() -> list[bytes]:
    """The statements that lead from each version to the next, from nothing to version 1 first.

    The files of one version begin with its number, in three digits.
    """
    files = sorted(resources.files("eventstore").joinpath("migrations").iterdir(), key=lambda file: file.name)
    versions = groupby((file for file in files if file.name.endswith(".sql")), lambda file: file.name[:3])
    return [b"\n".join(file.read_bytes() for file in of_version) for _, of_version in versions]
