"""Log lines: structured, to standard error, for a person or as JSON."""

import logging
import sys
from typing import Literal

import structlog


def configure(log_format: Literal["human", "json"], level: str) -> None:
    """Sets up logging for the whole process; the last call counts."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_tail(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # What these have to say of a failed job or a lost connection is said by us, once and in words for a person.
    for library in ("procrastinate", "psycopg.pool"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _tail(log_format: Literal["human", "json"]) -> list[structlog.types.Processor]:
    """Traces without the values of variables, unlike structlog's own choice: those may be passwords and keys."""
    if log_format == "json":
        trace = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [structlog.processors.ExceptionRenderer(trace), structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
