"""The diary over the API: searched by words as on its page, a bounded look at a time, and written into by people."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, AuditEntry, Role
from accounts.services.api_keys import api_key_create
from decisions.models import DiaryEntry
from decisions.services.notes import LONGEST
from tests.support.demo import account_of, bot_of, demo, person
from trading.selectors import diary as diaries
from trading.tests.builders import make_trader

pytestmark = pytest.mark.django_db
API = "/api/v1/"


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=4, equity_points=10)
    make_trader(made.user)
    client.force_login(made.user)
    client.get("/halt/state/")
    return made


def write(made, text, bot=None, ago=0.0, **fields):
    given = {"kind": "hold", "at": made.now - timedelta(seconds=ago), **fields}
    return DiaryEntry.objects.create(bot=bot or made.bot, text=text, **given)


def rows(client, path="diary/", **query):
    answer = client.get(API + path, query)
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def texts(client, path="diary/", **query):
    return [row["text"] for row in rows(client, path, **query)]


def walk(client, path="diary/", **query):
    """Return the texts of all pages, and how many pages there were."""
    page = client.get(API + path, query).json()
    told, pages = [row["text"] for row in page["results"]], 1
    while page["next"]:
        answer = client.get(page["next"])
        assert answer.status_code == 200, answer.content
        page, pages = answer.json(), pages + 1
        told += [row["text"] for row in page["results"]]
        assert pages < 100, "the pages have no end"
    return told, pages


# -- searching ---------------------------------------------------------------------------------------------------------


def test_it_finds_what_the_page_finds(client, made):
    for text in ("Wombat crossed the river", "the RIVER was low", "A wombat slept", "100% sure"):
        write(made, text)
    write(made, "said nothing of it", symbol="PEPEUSDT")
    for q in ("river WOMBAT", '"the river"', "wombat", "wombats", "100%", "pepe", "  "):
        page = diaries.found_of(list(made.account.bots.all()), diaries.wanted_of({"q": q}))
        if q.strip():
            assert sorted(texts(client, q=q)) == sorted(entry.text for entry in page.entries), q
    assert texts(client, q="river WOMBAT") == ["Wombat crossed the river"]


def test_words_go_with_the_other_filters_and_below_an_account_or_bot(client, made):
    other = bot_of(made.account, "other")
    second = bot_of(account_of(made.user, "second"))
    mine = write(made, "a wombat", bot=other, kind="trade", symbol="ETHUSDT")
    write(made, "another wombat", bot=second)
    write(made, "an old wombat", ago=86_400 * 9)
    for query in (
        {"bot": other.pk},
        {"kind": "trade"},
        {"symbol": "ETHUSDT"},
        {"bot": other.pk, "account": made.account.pk},
    ):
        assert texts(client, q="wombat", **query) == ["a wombat"], query
    assert texts(client, f"bots/{other.pk}/diary/", q="wombat") == ["a wombat"]
    assert sorted(texts(client, f"accounts/{made.account.pk}/diary/", q="wombat")) == ["a wombat", "an old wombat"]
    since = (mine.at - timedelta(days=1)).isoformat()
    assert sorted(texts(client, q="wombat", since=since)) == ["a wombat", "another wombat"]
    assert texts(client, q="wombat", until=since) == ["an old wombat"]
    assert texts(client, q="wombat", bot=other.pk, account=second.account_id) == []


@pytest.mark.parametrize("looked", [3, 50, 20_000])
def test_every_line_is_found_once_however_far_a_page_looks(client, made, monkeypatch, looked):
    """Lines of one moment among them: pages end between them."""
    monkeypatch.setattr(diaries, "LOOKED", looked)
    DiaryEntry.objects.bulk_create(
        DiaryEntry(
            bot=made.bot, kind="hold", at=made.now - timedelta(days=1, seconds=n // 7), text=f"{'wombat' if n % 5 == 0 else 'other'} {n}"
        )
        for n in range(150)
    )  # fmt: skip
    told, pages = walk(client, q="wombat", limit=4)
    assert told == sorted(told, key=lambda text: (int(text.split()[1]) // 7, -int(text.split()[1])))
    assert sorted(told) == sorted(f"wombat {n}" for n in range(0, 150, 5))
    assert (pages > 10) is (looked == 3)


def test_a_page_that_found_nothing_says_where_to_look_on(client, made, monkeypatch):
    monkeypatch.setattr(diaries, "LOOKED", 5)
    write(made, "a very old wombat", ago=86_400 * 30)
    page = client.get(API + "diary/", {"q": "wombat"}).json()
    assert (page["results"], page["previous"]) == ([], None)
    assert "cursor=" in page["next"]
    assert walk(client, q="wombat")[0] == ["a very old wombat"]


def test_a_search_costs_a_few_queries_however_long_the_diary_is(client, made):
    def queries():
        with CaptureQueriesContext(connection) as seen:
            rows(client, q="adx")
        return len(seen)

    few = queries()
    DiaryEntry.objects.bulk_create(
        DiaryEntry(bot=made.bot, kind="hold", at=made.now - timedelta(days=9, seconds=n), text="x") for n in range(2000)
    )
    for number in range(10):
        bot_of(made.account, f"b{number}")
    assert queries() == few <= 7


def test_a_table_holds_all_that_is_found(client, made, monkeypatch):
    monkeypatch.setattr(diaries, "LOOKED", 5)
    write(made, "=an old wombat", ago=86_400 * 30)
    write(made, "a wombat")
    answer = client.get(API + "diary/", {"q": "wombat", "format": "csv"})
    told = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode()))
    assert [row["text"] for row in told] == ["a wombat", "'=an old wombat"]


def cursor(*parts):
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"q": "a b c d e f g h i"}, "q"),
        ({"q": "x" * 300}, "q"),
        ({"q": "wombat", "kind": "song"}, "kind"),
        ({"q": "wombat", "simbol": "BTCUSDT"}, "simbol"),
        ({"q": "wombat", "ordering": "at"}, "ordering"),
        ({"q": "wombat", "ordering": "colour"}, "ordering"),
        ({"q": "wombat", "limit": "0"}, "limit"),
        ({"q": "wombat", "cursor": "nothing"}, "cursor"),
        ({"q": "wombat", "cursor": cursor(True, "2026-01-01T00:00:00+00:00", 1)}, "cursor"),
        ({"q": "wombat", "cursor": cursor(False, "2026-01-01T00:00:00", 1)}, "cursor"),
        ({"q": "wombat", "cursor": cursor(False, "yesterday", 1)}, "cursor"),
        ({"q": "wombat", "cursor": cursor(False, "2026-01-01T00:00:00+00:00", 2**70)}, "cursor"),
        ({"q": "wombat", "cursor": cursor(False, "2026-01-01T00:00:00+00:00", None)}, "cursor"),
    ],
)
def test_what_does_not_fit_a_search_is_refused_by_name(client, made, query, field):
    answer = client.get(API + "diary/", query)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]


def test_nobody_finds_what_is_anothers_and_staff_that_sees_all_does(client, made):
    write(made, "a wombat")
    for who, told in (("other", []), ("clerk", ["a wombat"])):
        staff = person(f"{who}@vibex.local", is_staff=who == "clerk")
        if who == "clerk":
            staff.user_permissions.add(Permission.objects.get(codename="view_any", content_type__app_label="accounts"))
        browser = Client()
        browser.force_login(staff)
        assert texts(browser, q="wombat") == told
        assert texts(browser, q="wombat", bot=made.bot.pk) == told


# -- notes -------------------------------------------------------------------------------------------------------------


def note(client, bot, body=None, **headers):
    body = {"text": "Looked at it."} if body is None else body
    return client.post(f"{API}bots/{bot.pk}/diary/", body, content_type="application/json", headers=headers)


def test_a_note_is_kept_with_who_wrote_it_and_listed_as_every_line(client, made):
    answer = note(client, made.bot, {"text": "  First line\r\nsecond ", "symbol": "BTCUSDT"})
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["text"], told["symbol"], told["kind"]) == ("First line\nsecond", "BTCUSDT", "note")
    assert (told["account"], told["bot"], told["data"]["author"]) == (made.account.pk, made.bot.pk, made.user.pk)
    assert client.get(f"{API}diary/{told['id']}/").json() == told
    assert rows(client, kind="note") == [told]
    assert rows(client, f"bots/{made.bot.pk}/diary/", q='"first line"') == [told]
    audit = AuditEntry.objects.get(action="diary-note")
    assert (audit.actor, audit.after) == (made.user, {"entry": told["id"]})
    call = AuditEntry.objects.filter(action="call").latest("pk")
    assert (call.actor, call.bot_id) == (made.user, made.bot.pk)


def test_the_same_call_sent_twice_writes_one_note(client, made):
    first, second = (note(client, made.bot, **{"Idempotency-Key": "a-note"}) for _ in range(2))
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert note(client, made.bot, {"text": "another"}, **{"Idempotency-Key": "a-note"}).status_code == 422
    assert DiaryEntry.objects.filter(kind="note").count() == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": " \r\n "}, "text"),
        ({"text": "x" * (LONGEST + 1)}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": "a", "symbol": "PEPEUSDT"}, "symbol"),
        ({"text": "a", "kind": "trade"}, "kind"),
        ({"text": "a", "bot": 1}, "bot"),
    ],
)
def test_a_note_that_cannot_be_is_refused_by_name(client, made, body, field):
    answer = note(client, made.bot, body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert not DiaryEntry.objects.filter(kind="note").exists()


def test_notes_stay_as_they_are_and_are_written_into_the_diary_of_a_bot(client, made):
    told = note(client, made.bot).json()
    for method in ("put", "patch", "delete"):
        for path in (f"diary/{told['id']}/", f"bots/{made.bot.pk}/diary/"):
            assert (
                getattr(client, method)(API + path, {"text": "other"}, content_type="application/json").status_code
                == 405
            )
    for path in ("diary/", f"accounts/{made.account.pk}/diary/"):
        assert client.post(API + path, {"text": "x"}, content_type="application/json").status_code == 405


def test_a_diary_of_another_is_not_written_into(client, made):
    client.force_login(make_trader(person("other@vibex.local")))
    assert note(client, made.bot).status_code == 404
    clerk = make_trader(person("clerk@vibex.local", is_staff=True))
    clerk.user_permissions.add(Permission.objects.get(codename="view_any", content_type__app_label="accounts"))
    client.force_login(clerk)
    assert note(client, made.bot).status_code == 403
    assert note(Client(), made.bot).status_code == 401
    assert not DiaryEntry.objects.filter(kind="note").exists()


def test_a_note_takes_the_scope_that_trades_and_the_right_and_on_real_money_no_confirmation(client, made):
    paper = Account.objects.get(pk=made.account.pk)
    paper.pk, paper.name = None, "before"
    paper.save()
    Account.objects.filter(pk=made.account.pk).update(mode="live", promoted_from=paper)
    for scopes, status in ((["read", "admin"], 403), (["read", "trade"], 201)):
        _, text = api_key_create(user=made.user, name=scopes[-1], scopes=scopes, expires=None, actor=made.user)
        assert note(Client(), made.bot, Authorization=f"Api-Key {text}").status_code == status
    made.user.groups.set(Group.objects.filter(name=Role.VIEWER))
    client.force_login(type(made.user).objects.get(pk=made.user.pk))
    refused = note(client, made.bot)
    assert (refused.status_code, refused.json()["code"]) == (403, "role")
