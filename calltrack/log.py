"""Logs: one chain for our own events and for the records of every library, and no secret gets through it.

JSON, one object a line, in production; readable lines in a terminal. What is bound to structlog's contextvars (run,
account, task) stands on every line, a library's lines included.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

#: stands in for what must not be read
MASK = "…"

#: libraries that say too much: urllib3 logs each request with its query string
QUIET = {"urllib3": logging.WARNING, "requests": logging.WARNING, "alembic.runtime.plugins": logging.WARNING}
#: loggers that may bring handlers of their own, past this chain
SELF_HANDLED = ("celery", "celery.task", "celery.redirected", "gunicorn.error", "gunicorn.access", "werkzeug")

SECRET_NAME = re.compile(
    r"api[_-]?key|private[_-]?key|secret|token|authorization|passw|signature|credential|cookie", re.IGNORECASE
)
#: `scheme://user:password@host` → user
PASSWORD = re.compile(r"://([^\s/:@'\"]*):[^\s/'\"]*@")
QUERY = re.compile(r"\?[\w%&\[][^\s'\"<>]*")
#: `api_key=x`, `"auth_token": "x"`, `Authorization: Bearer x` inside a text → everything before the value.
#: After the last two names only a long word is a value: `BadSignature: The …` is an error and its message.
PAIR = re.compile(
    r"((?:api[_-]?key|private[_-]?key|secret|token|authorization|passw)[\w-]{0,40}['\"]?\]?\s*[:=]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&)}\]]+)"
    r"|((?:signature|cookie)[\w-]{0,40}['\"]?\]?\s*[:=]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&)}\]]{16,})",
    re.IGNORECASE,
)


def setup(fmt: str = "", level: str = "INFO") -> None:
    """Send all logs of this process to stderr. May be called again, e.g. once a server has put up its own handlers.

    `fmt` is "json" or "console"; "" chooses the console where stderr is a terminal.
    """
    structlog.configure(processors=CHAIN, wrapper_class=BoundLogger, logger_factory=structlog.stdlib.LoggerFactory())
    handler = Handler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=CHAIN[1:-1], processors=[ProcessorFormatter.remove_processors_meta, _renderer(fmt)]
        )
    )
    root = logging.getLogger()
    root.handlers = [old for old in root.handlers if type(old) not in (Handler, logging.StreamHandler)] + [handler]
    root.setLevel(level)
    for name in SELF_HANDLED:
        own = logging.getLogger(name)
        own.handlers, own.propagate = [], True
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)


def get(name: str) -> BoundLogger:
    """A logger that takes an event name and values: `log.info("page_stored", page=12, rows=100)`."""
    logger: BoundLogger = structlog.wrap_logger(logging.getLogger(name), processors=CHAIN, wrapper_class=BoundLogger)
    return logger


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:  # noqa: ARG001
    """Mask secrets in every value of an event, whatever their depth. Runs after tracebacks have become text."""
    hidden = ("_record", "_from_structlog")
    return {key: value if key in hidden else _masked(value, key) for key, value in event.items()}


def mask(text: str) -> str:
    """The text without query strings, passwords in URLs, and values that stand behind a secret's name."""
    text = QUERY.sub(f"?{MASK}", PASSWORD.sub(rf"://\1:{MASK}@", text))
    return PAIR.sub(lambda pair: f"{pair[1] or pair[2]}{MASK}", text)


def _masked(value: Any, name: str = "") -> Any:
    """The value as plain JSON types without secrets; `name` is the key it stands behind."""
    if value is None or isinstance(value, bool):
        return value
    if SECRET_NAME.search(name):
        return MASK
    if isinstance(value, Mapping):
        return {mask(str(key)): _masked(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return _masked_all(list(value))
    return value if isinstance(value, int | float) else mask(_text(value))


def _masked_all(values: list[Any]) -> list[Any]:
    match values:
        case [str() as name, value]:  # a header, say
            return [mask(name), _masked(value, name)]
    return [_masked(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return str(value) if isinstance(value, str | UUID | Decimal | date | BaseException) else repr(value)


def _renderer(fmt: str) -> Processor:
    terminal = sys.stderr.isatty()
    if fmt == "json" or not (fmt or terminal):
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # Not its default way with tracebacks: that one prints local variables.
    return structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback)


class Handler(logging.StreamHandler[Any]):
    """Writes to what is stderr at that moment. Of a record that cannot be written it tells the place only."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        place = f"{record.name} ({record.pathname}:{record.lineno})"
        sys.stderr.write(f"A log record of {place} could not be written: {sys.exc_info()[0]}\n")


#: every event of ours passes all of it; other libraries' records pass all but the first and the last
CHAIN: list[Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    redact,
    ProcessorFormatter.wrap_for_formatter,
]
