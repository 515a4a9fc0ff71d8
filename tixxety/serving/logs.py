"""Logs on standard error: for people on a terminal, as JSON lines elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import structlog

STYLE = "TIXXETY_LOGS"
# APScheduler warns whenever a job takes longer than its interval, which is what work in plenty looks like.
QUIET = {"apscheduler": logging.ERROR, "uvicorn": logging.WARNING, "psycopg.pool": logging.WARNING}


def style() -> str:
    """`console` or `json`; a parent that forwards its children's lines tells them which."""
    return os.environ.get(STYLE) or ("console" if sys.stderr.isatty() else "json")


def configure(process: str) -> None:
    """Send structlog's lines and the standard library's the same way; each names the process it comes from."""
    import structlog  # most commands log nothing, and it takes 0.1 s to load

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process(process),
    ]
    rendering: list[structlog.typing.Processor]
    # Tracebacks never show local variables, which may be passwords and tokens.
    if style() == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        rendering = [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer()]
    else:
        rendering = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)


def name_process(process: str) -> structlog.typing.Processor:
    """A step that adds the process's name to every line."""

    def add(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line["process"] = process
        return line

    return add
