"""The log over the API: for those who may, the newest lines that fit, whatever lies in the folder."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission

from accounts.models import User
from vibex.lib import logreading
from vibex.lib.logreading import Wanted, log_tail

PATH = "/api/v1/logs/"
BEGAN = datetime(2026, 3, 14, 12, tzinfo=UTC)
SECRET = "sk-or-v1-0123456789abcdef0123456789abcdef"


def line(second, message="said", level="info", logger="trading.cycle", **more):
    at = (BEGAN + timedelta(seconds=second)).isoformat(timespec="milliseconds")
    return json.dumps({"timestamp": at, "level": level, "logger": logger, "message": message, **more}) + "\n"


@pytest.fixture
def folder(settings, tmp_path):
    settings.VIBEX_LOG_DIR = tmp_path
    return tmp_path


@pytest.fixture
def client(client, db):
    clerk = User.objects.create_user("clerk@example.com", "a password that is long", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="read_logs"))
    client.force_login(clerk)
    return client


def told(client, url=PATH, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def messages(page):
    return [row["message"] for row in page["results"]]


@pytest.mark.parametrize(("staff", "right"), [(False, True), (True, False), (False, False)])
def test_it_is_for_staff_with_the_permission_alone(db, client, folder, staff, right):
    person = User.objects.create_user("other@example.com", "a password that is long", is_staff=staff)
    if right:
        person.user_permissions.add(Permission.objects.get(codename="read_logs"))
    client.force_login(person)
    assert client.get(PATH).status_code == 403
    client.logout()
    assert client.get(PATH).status_code in (401, 403)


def test_lines_of_all_files_come_newest_first(client, folder):
    (folder / "app.log").write_text(line(1, "one", logger="vibex") + line(4, "four", logger="vibex"))
    (folder / "trading.log.1").write_text(line(0, "zero"))
    (folder / "trading.log").write_text(line(2, "two") + line(5, "five") + '{"timestamp": "2026-03-14T12:00:0')
    (folder / "llm.log").write_text(line(3, "three", logger="decisions"))
    page = told(client)
    assert messages(page) == ["five", "four", "three", "two", "one", "zero"]
    assert (page["next"], page["note"]) == (None, "")
    assert page["results"][0] == {
        "timestamp": "2026-03-14T12:00:05Z", "level": "info", "logger": "trading.cycle", "message": "five",
        "context": {}, "exception": None, "stack": None,
    }  # fmt: skip


def test_lines_can_be_narrowed(client, folder):
    failed = line(3, "failed", "error", exception="Traceback: ZeroDivisionError")
    (folder / "trading.log").write_text(
        line(1, "careful", "warning")
        + line(2, "Ünder way", logger="trading.guard", context={"request_id": "abcd1234"})
        + failed
    )
    (folder / "errors.log").write_text(failed)
    assert messages(told(client, level="warning")) == ["failed", "careful"]
    assert messages(told(client, level="error")) == ["failed"]
    assert messages(told(client, logger="trading.g")) == ["Ünder way"]
    assert messages(told(client, contains="zerodivision")) == ["failed"]
    assert messages(told(client, contains="ÜNDER WAY")) == ["Ünder way"]
    assert messages(told(client, request_id="abcd1234")) == ["Ünder way"]
    assert messages(told(client, request_id="abcd")) == []
    assert messages(told(client, since="2026-03-14T12:00:02Z")) == ["failed", "Ünder way"]
    assert messages(told(client, until="2026-03-14T12:00:02Z")) == ["careful"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "loud"), ("logger", "../../etc/passwd"), ("file", "/etc/passwd"), ("limit", 501), ("limit", 0),
        ("request_id", "a b"), ("since", "now"), ("contains", "x" * 201), ("contains", "a\x00"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(client, folder, name, value):
    assert client.get(PATH, {name: value}).status_code == 400


def test_only_the_files_of_this_house_are_read(client, folder):
    (folder / "other.log").write_text(line(1, "not ours"))
    (folder / "app.log.99").write_text(line(1, "not ours either"))
    page = told(client)
    assert (messages(page), page["note"][:28]) == ([], "There are no log files here:")


def test_a_secret_that_got_into_a_file_does_not_get_out(client, folder):
    written = line(1, f"said {SECRET}", context={"api_key": "abc", "list": [SECRET]}, exception=f"at {SECRET}")
    (folder / "app.log").write_text(written)
    answer = client.get(PATH)
    assert len(answer.json()["results"]) == 1
    assert "0123456789abcdef" not in answer.content.decode()
    assert answer.json()["results"][0]["context"]["api_key"] == "***"


def test_what_is_no_line_is_passed_over(client, folder):
    (folder / "app.log").write_bytes(
        b"\xff\xfe\x00garbage\n[]\n{}\n" + line(1, "sound").encode() + b'{"timestamp": "x"}\n'
    )
    assert messages(told(client)) == ["sound"]


def test_pages_show_every_line_once_also_of_one_moment(client, folder):
    (folder / "app.log").write_text("".join(line(n // 3, f"{n}") for n in range(30)))
    (folder / "llm.log").write_text("".join(line(n // 3, f"llm {n}") for n in range(30)))
    page, seen = told(client, limit=4), []
    while True:
        seen += messages(page)
        if page["next"] is None:
            break
        page = told(client, page["next"])
    assert sorted(seen) == sorted([f"{n}" for n in range(30)] + [f"llm {n}" for n in range(30)])


def test_lines_across_blocks_are_whole(folder, monkeypatch):
    monkeypatch.setattr(logreading, "BLOCK", 50)
    (folder / "app.log").write_text("".join(line(n, f"{n} " + "x" * (n * 7)) for n in range(40)))
    seen = log_tail(folder, Wanted(limit=500)).lines
    assert [row["message"].split()[0] for row in seen] == [f"{n}" for n in reversed(range(40))]
    for n in range(40):
        found = log_tail(folder, Wanted(until=BEGAN + timedelta(seconds=n), limit=1)).lines
        assert [row["message"].split()[0] for row in found] == ([f"{n - 1}"] if n else [])


def test_reading_stops_when_it_takes_too_long_and_goes_on_from_there(folder, monkeypatch):
    monkeypatch.setattr(logreading, "BLOCK", 400)
    (folder / "app.log").write_text("".join(line(n, "rare" if n % 50 == 0 else "usual") for n in range(200)))
    seen, until, looks = [], None, 0
    while True:
        tail = log_tail(folder, Wanted(contains="RARE", until=until), patience=-1.0)
        seen += [row["timestamp"] for row in tail.lines]
        looks += 1
        assert until is None or tail.reached is None or tail.reached < until, "it gets further each time"
        if (until := tail.reached) is None:
            break
    assert seen == [BEGAN + timedelta(seconds=n) for n in (150, 100, 50, 0)]
    assert looks > 10


@pytest.mark.ci
def test_a_hundred_megabytes_answer_within_a_second(folder):
    import time

    block = "".join(line(0, "GET api/v1/orders/ 200" + " " * 150) for _ in range(400))
    with (folder / "app.log").open("w") as file:
        for minute in range(1_000):
            file.write(block.replace("T12:00:00", f"T{12 + minute // 200}:{minute % 60:02}:00"))
    assert (folder / "app.log").stat().st_size > 90_000_000
    for wanted in (Wanted(limit=500), Wanted(contains="nothing such"), Wanted(until=BEGAN)):
        began = time.monotonic()
        log_tail(folder, wanted)
        assert time.monotonic() - began < 1.0
