"""Log files: who writes where, how much space they take, and that losing them costs nothing but them."""

import json
import logging
import logging.config
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vibex.lib import logfiles
from vibex.lib import logging as ours
from vibex.lib.logfiles import LogFile, LogFolder

CAP = 200_000


@pytest.fixture
def logs(tmp_path, capsys):
    """Give the handlers of the one-process mode, writing to a folder of their own."""
    handlers: list[logging.Handler] = []
    folder = tmp_path / "logs"

    def wire(*, max_total_mb=1000, level=logging.DEBUG):
        options = ours.configuration(
            level=level, levels={}, files=True, folder=folder, max_total_mb=max_total_mb, stdout=True
        )
        configurator = logging.config.DictConfigurator(options)
        config = configurator.config
        for name in config["formatters"]:
            config["formatters"][name] = configurator.configure_formatter(config["formatters"][name])
        for name in config["filters"]:
            config["filters"][name] = configurator.configure_filter(config["filters"][name])
        handlers.extend(configurator.configure_handler(config["handlers"][name]) for name in config["handlers"])
        return folder

    def log(name, level, message):
        record = logging.LogRecord(name, level, __file__, 1, message, (), None)
        for handler in handlers:
            if level >= handler.level:
                handler.handle(record)

    wire.log = log
    wire.folder = folder
    yield wire
    for handler in handlers:
        handler.close()


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def total(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize(
    ("logger", "file"),
    [
        ("trading.services.orders", "trading.log"),
        ("marketdata.services", "market_data.log"),
        ("decisions.llm.client", "llm.log"),
        ("vibex.lib.requests", "app.log"),
        ("accounts", "app.log"),
        ("django.request", "app.log"),
        ("tradingview", "app.log"),
    ],
)
def test_each_package_writes_to_its_file_and_to_the_console(logs, capsys, logger, file):
    folder = logs()
    logs.log(logger, logging.INFO, "said")
    assert [path.name for path in folder.glob("*.log")] == [file]
    assert lines(folder / file)[0]["logger"] == logger
    assert json.loads(capsys.readouterr().out)["message"] == "said"


def test_errors_of_all_packages_stand_together_too(logs):
    folder = logs()
    logs.log("trading.x", logging.ERROR, "bad")
    logs.log("vibex.x", logging.WARNING, "so so")
    assert [line["message"] for line in lines(folder / "errors.log")] == ["bad"]
    assert [line["message"] for line in lines(folder / "trading.log")] == ["bad"]


def record(message="x" * 900) -> logging.LogRecord:
    return logging.LogRecord("trading", logging.INFO, __file__, 1, message, (), None)


def small_file(tmp_path: Path, name="trading.log", *, days=90, cap=CAP, files=5) -> LogFile:
    return LogFile(LogFolder(tmp_path, max_total=cap, files=files), name, days)


def test_a_file_is_rotated_at_its_size_and_ten_old_ones_stay(tmp_path):
    file = small_file(tmp_path)
    for _ in range(400):
        file.handle(record())
    file.close()
    kept = list(tmp_path.glob("trading.log.*"))
    assert 1 <= len(kept) <= 10
    assert all(path.stat().st_size <= file.maxBytes for path in tmp_path.glob("trading.log*"))


def test_the_size_is_a_hundred_megabytes_where_the_cap_allows_it(tmp_path):
    assert LogFolder(tmp_path, max_total=1_000_000_000, files=5).largest == 100_000_000
    assert LogFolder(tmp_path, max_total=10_000_000, files=5).largest == 1_000_000


def test_all_files_together_stay_below_the_cap_and_the_oldest_go_first(tmp_path):
    folder = LogFolder(tmp_path, max_total=CAP, files=5)
    files = [LogFile(folder, name, 30) for name in ("app.log", "trading.log", "llm.log", "errors.log", "x.log")]
    ancient = tmp_path / "llm.log.9"
    ancient.write_text("old\n")
    os.utime(ancient, (time.time() - 86_400,) * 2)
    for _ in range(300):
        for file in files:
            file.handle(record())
            assert total(tmp_path) <= CAP
    for file in files:
        file.close()
    assert not ancient.exists()
    assert total(tmp_path) > CAP / 2, "the cap is used, not only kept"


def test_what_is_older_than_the_limit_is_deleted(tmp_path):
    old, young = tmp_path / "trading.log.2", tmp_path / "trading.log.1"
    for path, age in ((old, 91), (young, 89)):
        path.write_text("line\n")
        os.utime(path, (time.time() - age * 86_400,) * 2)
    file = small_file(tmp_path)
    file.handle(record())
    file.close()
    assert young.exists()
    assert not old.exists()


def test_a_quiet_file_is_rotated_by_age_so_that_its_lines_can_go_in_time(tmp_path):
    began = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 10 * 86_400))
    (tmp_path / "trading.log").write_text(json.dumps({"timestamp": began, "message": "ten days ago"}) + "\n")
    file = small_file(tmp_path, cap=1_000_000_000)
    file.handle(record("first"))
    file.handle(record("second"))
    file.close()
    assert "ten days ago" in (tmp_path / "trading.log.1").read_text()
    assert "ten days ago" not in (tmp_path / "trading.log").read_text()


def test_app_logs_are_kept_thirty_days_and_trading_logs_ninety(tmp_path):
    options = ours.configuration(
        level=logging.INFO, levels={}, files=True, folder=tmp_path, max_total_mb=1000, stdout=True
    )
    days = {name: handler["days"] for name, handler in options["handlers"].items() if name != "console"}
    assert days == {"app.log": 30, "errors.log": 30, "trading.log": 90, "market_data.log": 30, "llm.log": 30}


def said_by_console(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_folder_that_cannot_be_made_leaves_the_console_and_one_warning(logs, capsys, monkeypatch):
    logs.folder.write_text("a file stands where the folder should be")
    logs()
    warnings = []
    monkeypatch.setattr(logfiles.log, "warning", lambda *args: warnings.append(args))
    for number in range(20):
        logs.log("trading.x", logging.INFO, f"line {number}")
    assert [line["message"] for line in said_by_console(capsys)] == [f"line {number}" for number in range(20)]
    assert len(warnings) == 1


def test_a_full_disk_leaves_the_console_and_one_warning_and_files_go_on_when_there_is_room(logs, capsys, monkeypatch):
    folder = logs()
    warnings = []
    monkeypatch.setattr(logfiles.log, "warning", lambda *args: warnings.append(args))
    folder.mkdir()
    (folder / "trading.log").symlink_to("/dev/full")
    for number in range(20):
        logs.log("trading.x", logging.INFO, f"line {number}")
    assert len(said_by_console(capsys)) == 20
    assert len(warnings) == 1

    (folder / "trading.log").unlink()
    monkeypatch.setattr(logfiles, "REST", 0.0)
    clock = time.monotonic
    monkeypatch.setattr(logfiles.time, "monotonic", lambda: clock() + 61)
    logs.log("trading.x", logging.INFO, "there is room again")
    assert [line["message"] for line in lines(folder / "trading.log")] == ["there is room again"]


def test_a_second_process_does_not_write_the_same_files(tmp_path):
    first = small_file(tmp_path)
    first.handle(record("first"))
    script = (
        "import logging; from pathlib import Path; from vibex.lib.logfiles import *\n"
        f"file = LogFile(LogFolder(Path({str(tmp_path)!r}), max_total=1000000, files=5), 'trading.log', 90)\n"
        "file.handle(logging.LogRecord('trading', 20, '', 1, 'second', (), None))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(logfiles.__file__).parents[2])
    first.close()
    assert (tmp_path / "trading.log").read_text() == "first\n"


@pytest.mark.parametrize(
    ("setting", "one_process", "argv", "writes"),
    [
        ("auto", True, ["manage.py", "up"], True),
        ("auto", True, ["manage.py", "backtest"], False),
        ("auto", False, ["manage.py", "up"], False),
        ("auto", False, ["celery", "-A", "vibex", "worker"], False),
        ("yes", False, ["manage.py", "up"], True),
        ("no", True, ["manage.py", "up"], False),
    ],
)
def test_files_are_written_by_the_server_of_the_one_process_mode(setting, one_process, argv, writes):
    assert ours.writes_files(setting, one_process=one_process, argv=argv) is writes


@pytest.mark.parametrize(
    ("argv", "serves"),
    [
        (["manage.py", "up", "--port", "3001"], True),
        (["/venv/bin/celery", "-A", "vibex", "worker"], True),
        (["/venv/lib/celery/__main__.py", "-A", "vibex", "worker"], True),
        (["/venv/bin/daphne", "vibex.asgi:application"], True),
        (["manage.py", "backtest", "--json"], False),
        (["manage.py"], False),
        ([], False),
    ],
)
def test_only_servers_log_to_stdout_so_that_commands_keep_it_for_their_result(argv, serves):
    assert ours.serves(argv) is serves
