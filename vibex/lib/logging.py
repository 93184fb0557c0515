"""JSON lines with context, masked, to standard output and, in the one-process mode, to files.

Bind what a stretch of work belongs to with `bound(account=…, bot=…, cycle=…)`: every line inside carries it.
"""

import logging
import logging.config
import sys
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from vibex.lib.logfiles import LogFile, LogFolder
from vibex.lib.masking import mask_argument, mask_text, mask_value

__all__ = ["bound", "configuration", "configure", "formatter", "log_uncaught", "program_of", "serves", "writes_files"]

OWN = ("vibex", "accounts", "marketdata", "decisions", "trading")
ROUTES = {"trading": "trading.log", "marketdata": "market_data.log", "decisions": "llm.log"}
"""Which package writes to a file of its own; everything else goes to app.log."""
APP_FILE, ERROR_FILE = "app.log", "errors.log"
DAYS = {"trading.log": 90}
DEFAULT_DAYS = 30
QUIET = {
    "django.request": logging.ERROR,  # the request log has the line already
    "django.server": logging.ERROR,
    "django.channels.server": logging.WARNING,
    # Several lines for every tick of the schedule; what a task does is logged by the code it calls.
    "celery.app.trace": logging.WARNING,
    "celery.beat": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "daphne.server": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "stamina": logging.ERROR,  # whoever asks says what came of it in the end
    "httpx2": logging.WARNING,  # it writes every address that is asked, with the whole query
}
LIBRARIES = logging.INFO
"""Libraries speak at this level or above: at debug they fill disks with frames and statements."""

type EventDict = MutableMapping[str, Any]


def writes_files(log_files: str, *, one_process: bool, argv: list[str]) -> bool:
    """Tell whether this process writes log files: by default only the server of the one-process mode does."""
    return log_files == "yes" or (log_files == "auto" and one_process and argv[1:2] == ["up"])


def program_of(argv: Sequence[str]) -> str:
    """Return the name of the program that was started; `celery` also for `python -m celery`."""
    started = Path(argv[0]) if argv else Path()
    return started.parent.name if started.name == "__main__.py" else started.name


def serves(argv: list[str]) -> bool:
    """Tell whether this process is a server. Other commands log to stderr: their stdout is their result."""
    return program_of(argv) in ("celery", "daphne") or argv[1:2] in (["up"], ["web"], ["runserver"], ["daphne"])


def configuration(
    *, level: int, levels: Mapping[str, str], files: bool, folder: Path, max_total_mb: int, stdout: bool
) -> dict[str, Any]:
    """Return the dictConfig of a process."""
    stream = "ext://sys.stdout" if stdout else "ext://sys.stderr"
    handlers = {"console": _handler(**{"class": "logging.StreamHandler"}, stream=stream)}
    if files:
        handlers |= _file_handlers(folder, max_total_mb * 1_000_000)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"mask": {"()": MaskArguments}, "elsewhere": {"()": Elsewhere}}
        | {name: {"name": name} for name in ROUTES},
        "formatters": {"json": {"()": JsonLine}},
        "handlers": handlers,
        "root": {"level": max(level, LIBRARIES), "handlers": list(handlers)},
        "loggers": _loggers(level, levels),
    }


def bound(**context: Any) -> AbstractContextManager[None]:
    """Let every line that is written inside of the block carry the context."""
    from structlog.contextvars import bound_contextvars

    return bound_contextvars(**context)


def configure(options: dict[str, Any]) -> None:
    """Put the configuration in force, for the standard library's loggers and structlog's alike."""
    logging.config.dictConfig(options)
    logging.captureWarnings(True)
    if "structlog" in sys.modules:
        structlog_configure()


def structlog_configure() -> None:
    """Let structlog's own loggers write through the standard library's."""
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            _mask_arguments,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def log_uncaught() -> None:
    """Write what ends a thread or the process into the log, masked, instead of bare on stderr."""
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_lost_thread


class JsonLine(logging.Formatter):
    """One masked JSON line of a record. Made on first use: most commands never write a line, and need no structlog."""

    @cached_property
    def _made(self) -> logging.Formatter:
        return formatter()

    def format(self, record: logging.LogRecord) -> str:
        return self._made.format(record)


def formatter() -> logging.Formatter:
    """Return the formatter that makes one masked JSON line of a record."""
    import structlog

    structlog_configure()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.StackInfoRenderer(),
            _arrange,
            structlog.processors.JSONRenderer(),
        ],
    )


class MaskArguments(logging.Filter):
    """Merge message and arguments, masked, before any formatter can see or fail on them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, dict):  # structlog's own records; the formatter masks them
            return True
        record.msg, record.args = _message(record), ()
        return True


class Elsewhere(logging.Filter):
    """Pass what no package's own file takes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] not in ROUTES


def _message(record: logging.LogRecord) -> str:
    arguments = record.args
    if isinstance(arguments, Mapping):
        masked: Any = {key: mask_argument(value, key) for key, value in arguments.items()}
    else:
        masked = tuple(mask_argument(argument) for argument in arguments or ())
    try:
        return mask_text(str(record.msg) % masked if masked else str(record.msg))
    except (TypeError, ValueError, KeyError):
        return mask_text(f"{record.msg} {masked}")


def _mask_arguments(_logger: Any, _method: str, event: EventDict) -> EventDict:
    if arguments := event.get("positional_args"):
        event["positional_args"] = tuple(mask_argument(argument) for argument in arguments)
    return event


def _arrange(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Return the line as it is written: four fixed fields, then context and traceback where there are any."""
    record: logging.LogRecord = event.pop("_record")
    for name in ("_from_structlog", "request"):  # Django's request prints its path, which may hold a reset token
        event.pop(name, None)
    line: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": mask_text(str(event.pop("event", ""))),
    }
    traces = {name: mask_text(event.pop(name)) for name in ("exception", "stack") if event.get(name)}
    context = {"context": mask_value(event)} if event else {}
    return line | context | traces


def _loggers(level: int, levels: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    own = {name: {"level": level} for name in OWN}
    quiet = {name: {"level": max(floor, level)} for name, floor in QUIET.items()}
    always = {"vibex.lib.logfiles": {"level": logging.WARNING}}  # a lost log folder is said whatever the level
    chosen = {name: {"level": wanted} for name, wanted in levels.items()}
    merged: dict[str, dict[str, Any]] = own | quiet | always | chosen
    # Django's own handlers are taken away: every line goes through the root, once.
    for name in ("django", "django.server"):
        merged[name] = {"handlers": [], "propagate": True} | merged.get(name, {})
    return merged


def _handler(**more: Any) -> dict[str, Any]:
    return {"formatter": "json", **more, "filters": ["mask", *more.get("filters", ())]}


def _file_handlers(folder: Path, max_total: int) -> dict[str, dict[str, Any]]:
    names = (APP_FILE, ERROR_FILE, *ROUTES.values())
    shared = LogFolder(folder, max_total=max_total, files=len(names))
    kinds: dict[str, dict[str, Any]] = {
        APP_FILE: {"filters": ["elsewhere"]},
        ERROR_FILE: {"level": logging.ERROR},
        **{file: {"filters": [package]} for package, file in ROUTES.items()},
    }
    return {
        name: _handler(**{"()": LogFile}, folder=shared, name=name, days=DAYS.get(name, DEFAULT_DAYS), **kinds[name])
        for name in names
    }


def _log_lost_thread(lost: threading.ExceptHookArgs) -> None:
    if lost.exc_value is not None:
        _log_uncaught(lost.exc_type, lost.exc_value, lost.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("vibex").critical("uncaught %s", kind.__name__, exc_info=(kind, error, trace))
