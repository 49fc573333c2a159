"""What a step prints: one event a line with its keys while it works, one readable block at its end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import structlog

_RULE = "─" * 78


def start(step: str) -> None:
    """Send this process's events to standard output as `time level event key=value`; libraries only from WARNING."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("appraiser").setLevel(logging.INFO)
    structlog.contextvars.bind_contextvars(step=step)


def log() -> structlog.stdlib.BoundLogger:
    """Return the logger of the steps."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("appraiser")
    return logger


def committed(boundary: str) -> None:
    """Say that a commit boundary is passed: whatever happens to this process now, that much is done."""
    log().info("committed", boundary=boundary)


def close(title: str, lines: Sequence[tuple[str, object]], ending: str) -> None:
    """Print the block a reader of `kubectl logs` looks for: a title, what came out, and what follows from it."""
    width = max((len(label) for label, _ in lines), default=0)
    body = [f"  {label:<{width}}  {value}" for label, value in lines]
    sys.stdout.write("\n".join([_RULE, title, *body, ending, _RULE, ""]))
    sys.stdout.flush()
