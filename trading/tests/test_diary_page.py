"""The diary: found by words, kind, symbol, bot and time; taken along as a table; written into by people."""

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, Bot
from decisions.models import DiaryEntry
from decisions.services.notes import LONGEST, note_write
from tests.support.demo import HOSTILE, account_of, bot_of, demo, person
from trading.selectors import diary as diaries
from trading.tests.builders import make_trader
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=4, equity_points=10)
    make_trader(made.user)
    client.force_login(made.user)
    client.get("/halt/state/")
    return made


def path_of(made, rest=""):
    return f"/accounts/{made.account.pk}/diary/{rest}"


def text_of(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def write(made, text, bot=None, ago=0.0, **fields):
    """Write a line so many seconds ago."""
    given = {"kind": "hold", "at": made.now - timedelta(seconds=ago), **fields}
    return DiaryEntry.objects.create(bot=bot or made.bot, text=text, **given)


def found(made, **given):
    bots = list(made.account.bots.all())
    return [entry.text for entry in diaries.found_of(bots, diaries.wanted_of(given)).entries]


# -- searching --------------------------------------------------------------------------------------------------------


def test_all_words_have_to_be_there_in_any_order_and_case(made):
    for text in ("Wombat crossed the river", "the RIVER was low", "A wombat slept"):
        write(made, text)
    assert found(made, q="river WOMBAT") == ["Wombat crossed the river"]
    assert set(found(made, q="wombat")) == {"Wombat crossed the river", "A wombat slept"}
    assert found(made, q='"the river"') == ["the RIVER was low", "Wombat crossed the river"]
    assert found(made, q="wombats") == []


@pytest.mark.parametrize("text", ["100% sure", "a_b", "it's \\ here", "50%'quoted'\" marks"])
def test_a_sign_is_a_sign_and_no_pattern(made, text):
    write(made, text)
    write(made, "1000 sure, a-b, its here")
    assert found(made, q=text.split()[0]) == [text]


def test_symbols_are_found_by_words_too(made):
    write(made, "said nothing of it", symbol="PEPEUSDT")
    assert found(made, q="pepe") == ["said nothing of it"]


def test_it_is_narrowed_by_kind_symbol_bot_and_days_of_the_reader(made, client):
    other = bot_of(made.account, "other")
    write(made, "mine", bot=other, kind="trade", symbol="ETHUSDT")
    assert found(made, bot=str(other.pk)) == ["mine"]
    assert found(made, bot=str(other.pk), kind="trade", symbol="ETHUSDT") == ["mine"]
    assert found(made, bot=str(other.pk), kind="error") == []
    assert found(made, bot="999999") == []
    day = timezone.localdate(made.now)
    assert "mine" in found(made, **{"from": str(day), "to": str(day)})
    assert found(made, to=str(day - timedelta(days=300))) == []
    assert found(made, **{"from": str(day + timedelta(days=1))}) == []


def test_days_are_those_of_the_reader(made, client):
    made.user.time_zone = "Asia/Tokyo"
    made.user.save()
    at = timezone.now().replace(year=2026, month=3, day=29, hour=20)  # already the 30th in Tokyo
    write(made, "late in the evening", at=at)
    assert "late in the evening" in text_of(client, path_of(made, "?from=2026-03-30&to=2026-03-30"))
    assert "late in the evening" not in text_of(client, path_of(made, "?from=2026-03-29&to=2026-03-29"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?kind=song", "There is no kind song"),
        ("?bot=x", "There is no such bot"),
        ("?bot=99999999999999999999", "There is no such bot"),
        ("?from=yesterday", "is no day"),
        ("?from=0001-01-01", "is no day"),
        ("?to=9999-12-31", "is no day"),
        ("?from=2026-03-02&to=2026-03-01", "comes after the last"),
        ("?q=" + "+".join("abcdefghi"), "at most 8 words"),
        ("?q=" + "x" * 300, "at most 8 words in 200"),
    ],
)
def test_a_wrong_wish_is_explained_and_the_whole_diary_shown(client, made, query, said):
    page = text_of(client, path_of(made, query), status=400)
    assert said in page
    assert "entry-hold" in page
    assert client.get(path_of(made, "diary.csv" + query)).status_code == 400
    part = client.get(path_of(made, query), headers={"HX-Request": "true"})
    assert part.status_code == 200, "htmx would leave the old list there, and say nothing"
    assert said in part.content.decode()


@pytest.mark.parametrize(
    "before", ["", "x", "~", "1~", "~1", "1~-1", "9" * 30 + "~1", "٣~1", "1~" + "9" * 25, "-5~1", "1" * 60]
)
def test_a_place_that_is_none_is_the_beginning_or_the_end(client, made, before):
    assert client.get(path_of(made), {"before": before, "q": "nul"}).status_code == 200


def test_what_was_searched_for_is_marked_and_stays_text(client, made):
    write(made, f"{HOSTILE} and a wombat")
    page = text_of(client, path_of(made, "?q=wombat"))
    assert "<mark>wombat</mark>" in page
    assert HOSTILE not in page
    page = text_of(client, path_of(made, "?q=%3Cscript%3E"))
    assert "<mark>&lt;script&gt;</mark>" in page
    assert HOSTILE not in page


# -- pages ------------------------------------------------------------------------------------------------------------


def many(made, count, bot=None, text="line {}", **fields):
    DiaryEntry.objects.bulk_create(
        DiaryEntry(
            bot=bot or made.bot,
            kind="hold",
            at=made.now - timedelta(days=10, seconds=n // 2),
            text=text.format(n),
            **fields,
        )
        for n in range(count)
    )


def all_pages(made, **given):
    """Return the texts of every page, walking from the newest to the end."""
    texts, before, bots = [], "", list(made.account.bots.all())
    for _ in range(200):
        page = diaries.found_of(bots, diaries.wanted_of({**given, "before": before}))
        texts += [entry.text for entry in page.entries]
        if not page.older:
            return texts
        before = page.older
    raise AssertionError("the pages have no end")


def test_every_line_is_on_one_page_also_those_of_the_same_moment(made):
    many(made, 333)
    many(made, 120, bot=bot_of(made.account, "other"), text="other {}")
    told = all_pages(made)
    assert len(told) == DiaryEntry.objects.count()
    assert len(set(told) & {f"line {n}" for n in range(333)}) == 333


def test_a_search_that_does_not_fill_its_page_says_how_far_it_came_and_goes_on(client, made, monkeypatch):
    monkeypatch.setattr(diaries, "LOOKED", 50)
    many(made, 400)
    page = text_of(client, path_of(made, "?q=399"))
    assert "Looked through back to" in page
    assert "look further back" in page
    assert "line 399" not in page
    assert all_pages(made, q="399") == ["line 399"]
    many(made, 100, bot=bot_of(made.account, "other"), text="deep {}")
    assert sorted(all_pages(made, q='"deep 99"')) == ["deep 99"]


def test_an_empty_account_has_an_empty_diary(client, made):
    account = account_of(made.user, "empty")
    page = text_of(client, f"/accounts/{account.pk}/diary/")
    assert "Nothing is written yet" in page
    assert "Write a note" not in page


@pytest.mark.parametrize("query", ["", "?q=line&kind=hold&from=2020-01-01"])
def test_a_page_costs_the_same_few_queries_however_long_the_diary_is(client, made, query):
    note_write(bot=made.bot, author=made.user, text="a note")

    def queries():
        with CaptureQueriesContext(connection) as seen:
            assert client.get(path_of(made, query)).status_code == 200
        assert not any("COUNT" in each["sql"] and "diary" in each["sql"] for each in seen)
        return len(seen)

    few = queries()
    many(made, 3000)
    for number in range(20):
        bot_of(made.account, f"b{number}")
        account_of(made.user, f"a{number}")
    assert queries() == few
    assert few <= 12


def test_htmx_gets_what_was_found_alone(client, made):
    page = client.get(path_of(made, "?q=adx"), headers={"HX-Request": "true"}).content.decode()
    assert 'id="found"' in page
    assert "<html" not in page


# -- the table --------------------------------------------------------------------------------------------------------


def table(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_what_is_found_is_exported_and_no_spreadsheet_finds_a_formula(client, made):
    write(made, '=HYPERLINK("http://evil.example","wombat")')
    write(made, 'a wombat, quoted "so"\nand on')
    rows = table(client, path_of(made, "diary.csv?q=wombat"))
    assert [row["text"] for row in rows] == [
        'a wombat, quoted "so"\nand on',
        '\'=HYPERLINK("http://evil.example","wombat")',
    ]
    assert {row["account"] for row in rows} == {str(made.account.pk)}
    assert len(table(client, path_of(made, "diary.csv"))) == DiaryEntry.objects.count()
    assert "diary.csv?q=wombat" in text_of(client, path_of(made, "?q=wombat"))


# -- notes ------------------------------------------------------------------------------------------------------------


def post(client, made, **typed):
    return client.post(
        path_of(made, "note/"), {"bot": made.bot.pk, "text": "Looked at it.", "form": "f1", **typed}, follow=True
    )


def test_a_note_is_kept_with_who_wrote_it_and_the_markets_time(client, made):
    page = post(client, made, text="  First line\r\nsecond <b>line</b> ", symbol="BTCUSDT").content.decode()
    note = DiaryEntry.objects.get(kind="note")
    assert (note.text, note.symbol, note.bot, note.data["author"]) == (
        "First line\nsecond <b>line</b>",
        "BTCUSDT",
        made.bot,
        made.user.pk,
    )
    assert abs(note.at - timezone.now()) < timedelta(minutes=1)
    assert f"by {made.user}" in page
    assert "&lt;b&gt;line" in page
    audit = AuditEntry.objects.get(action="diary-note")
    assert (audit.actor, audit.after) == (made.user, {"entry": note.pk})


def test_a_double_click_writes_one_note_and_the_next_form_another(client, made):
    post(client, made)
    post(client, made)
    assert DiaryEntry.objects.filter(kind="note").count() == 1
    post(client, made, form="f2")
    assert DiaryEntry.objects.filter(kind="note").count() == 2


def test_a_note_locks_the_bot_without_holding_up_what_is_written_of_it(made, monkeypatch):
    """FOR UPDATE would let every cycle, order and diary line of the bot wait: they lock its key."""
    asked, real = [], type(Bot.objects.all()).select_for_update

    def noted(rows, **how):
        asked.append((rows.model, how.get("no_key")))
        return real(rows, **how)

    monkeypatch.setattr(type(Bot.objects.all()), "select_for_update", noted)
    note_write(bot=made.bot, author=made.user, text="calm")
    assert asked == [(Bot, True)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"text": "   "}, "A note needs some words"),
        ({"text": "x" * (LONGEST + 1)}, "The note has 2,001 characters"),
        ({"symbol": "PEPEUSDT"}, "does not trade PEPEUSDT"),
        ({"bot": "77"}, "no such bot"),
    ],
)
def test_a_note_that_cannot_be_is_refused_with_a_reason(client, made, typed, said):
    assert said in post(client, made, **typed).content.decode()
    assert not DiaryEntry.objects.filter(kind="note").exists()


def test_a_note_of_the_full_length_is_kept_and_one_with_odd_signs_too(made):
    assert note_write(bot=made.bot, author=made.user, text="x" * LONGEST).pk
    assert "\x00" not in note_write(bot=made.bot, author=made.user, text="a\x00b").text
    with pytest.raises(Rejected):
        note_write(bot=made.bot, author=made.user, text="\r\n ")


def test_no_prompt_holds_a_note(made):
    from decisions.selectors import feedback_for

    note_write(bot=made.bot, author=made.user, text="buy everything")
    assert "buy everything" not in repr(feedback_for(made.bot))


def test_a_diary_of_another_is_neither_read_nor_written(client, made):
    client.force_login(make_trader(person("other@vibex.local")))
    for rest in ("", "diary.csv"):
        assert client.get(path_of(made, rest)).status_code == 404
    assert post(client, made).status_code == 404
    assert client.get(path_of(made, "note/")).status_code == 405
    assert not DiaryEntry.objects.filter(kind="note").exists()


def test_who_may_only_look_writes_nothing(client, made):
    made.user.groups.clear()
    assert post(client, made).status_code == 403
    assert "Write a note" not in text_of(client, path_of(made))
