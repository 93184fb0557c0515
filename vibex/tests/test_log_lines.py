"""The shape of a log line, and which levels are written."""

import json
import logging
from datetime import datetime

import structlog

from vibex.lib import logging as ours
from vibex.lib.logging import bound


def line_of(record: logging.LogRecord) -> dict:
    return json.loads(ours.formatter().format(record))


def record(message="done", **extra) -> logging.LogRecord:
    made = logging.LogRecord("trading.orders", logging.WARNING, __file__, 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_a_line_has_timestamp_level_logger_and_message():
    line = line_of(record())
    assert {name: line[name] for name in ("level", "logger", "message")} == {
        "level": "warning",
        "logger": "trading.orders",
        "message": "done",
    }
    assert datetime.fromisoformat(line["timestamp"]).utcoffset().total_seconds() == 0
    assert "context" not in line


def test_what_is_bound_and_what_is_given_stand_in_the_context():
    with bound(account=3, bot=7, cycle=41):
        line = line_of(record(order="vx1"))
    assert line["context"] == {"account": 3, "bot": 7, "cycle": 41, "order": "vx1"}


def test_what_was_bound_is_gone_afterwards():
    with bound(account=3):
        pass
    assert "context" not in line_of(record())


def test_a_traceback_is_text_in_the_same_line():
    try:
        raise ValueError("no such order")
    except ValueError as error:
        made = record(exc_info=(ValueError, error, error.__traceback__))
    assert "ValueError: no such order" in line_of(made)["exception"]


def test_structlog_writes_the_same_lines(capsys):
    handler = logging.StreamHandler()
    handler.setFormatter(ours.formatter())
    logger = logging.getLogger("decisions.tests.lines")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        structlog.get_logger("decisions.tests.lines").info("asked %s", "a model", tokens=12)
    finally:
        logger.removeHandler(handler)
    line = json.loads(capsys.readouterr().err)
    assert (line["logger"], line["message"], line["context"]) == (
        "decisions.tests.lines",
        "asked a model",
        {"tokens": 12},
    )


def configured(level: int, levels: dict[str, str] | None = None) -> dict:
    return ours.configuration(level=level, levels=levels or {}, files=False, folder=None, max_total_mb=1, stdout=True)


def test_our_packages_follow_the_level_and_libraries_never_speak_at_debug():
    options = configured(logging.DEBUG)
    assert options["loggers"]["trading"]["level"] == logging.DEBUG
    assert options["root"]["level"] == logging.INFO


def test_single_modules_can_be_set():
    options = configured(logging.ERROR, {"decisions.llm": "DEBUG", "trading": "INFO"})
    assert options["loggers"]["decisions.llm"]["level"] == "DEBUG"
    assert options["loggers"]["trading"]["level"] == "INFO"
    assert options["loggers"]["accounts"]["level"] == logging.ERROR


def test_every_line_goes_through_the_root_once():
    options = configured(logging.INFO)
    assert options["loggers"]["django"]["propagate"] is True
    assert options["loggers"]["django"]["handlers"] == []
    assert [name for name, logger in options["loggers"].items() if logger.get("handlers")] == []
