"""What can stop the projections."""

from uuid import UUID

from eventstore.errors import BatchFailed, Failure


class FoldFailed(BatchFailed):
    """A domain event can't be folded. Nothing was skipped: the tables stay where they are until this is mended."""

    def __init__(self, position: int, stream: UUID, version: int, topic: str, reason: str) -> None:
        super().__init__(
            f"The projections stopped before position {position}: {topic} (stream {stream}, version {version}) "
            f"can't be folded: {reason}",
            position,
            position,
        )
        self.stream = stream
        self.version = version
        self.topic = topic


class RebuildUnderWay(Failure):
    """Another rebuild of these tables is under way."""


class SwapHeldUp(Failure):
    """Somebody reads the tables without end. What is rebuilt is kept: run tixxety rebuild again when nobody does."""


class HistoryCutShort(Failure):
    """The history has lost its end: the tables that serve know of more. They stay as they are."""

    def __init__(self, ends_at: int, folded_to: int) -> None:
        super().__init__(
            f"The history ends at position {ends_at}, while the tables that serve are folded up to {folded_to}: "
            "its end was deleted. Nothing is rebuilt, and they serve as before; restore the history from a backup."
        )


class OldTablesHeld(Failure):
    """Somebody reads the tables that the last rebuild has put aside, so that they can't be dropped."""

    def __init__(self, readers: list[str]) -> None:
        super().__init__(
            f"The tables that the last rebuild has put aside can't be dropped while {' and '.join(readers)} "
            "reads them: end what it does, or let it end, and run it once more. What is rebuilt is kept."
        )


class OldTablesInUse(Failure):
    """Views of somebody else read the tables that the last rebuild has put aside."""

    def __init__(self, views: list[str]) -> None:
        super().__init__(
            f"{', '.join(views)} read the tables that the last rebuild has put aside: a view keeps to the tables that "
            "it was made on. Drop them or make them again, and run it once more."
        )


class ParquetMissing(Failure):
    """Parquet needs pyarrow, which is not installed here: pip install 'tixxety[parquet]', or for the image
    docker build --build-arg PARQUET=1.
    """
