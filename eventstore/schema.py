"""The versions of the history's schema: one file of statements each, run in order and once."""

from importlib import resources

# Raised with every change of what `tixxety migrate` makes.
SCHEMA_VERSION = 3


def steps() -> list[bytes]:
    """The statements that lead from each version to the next, from nothing to version 1 first."""
    files = sorted(resources.files("eventstore").joinpath("migrations").iterdir(), key=lambda file: file.name)
    return [file.read_bytes() for file in files if file.name.endswith(".sql")]
