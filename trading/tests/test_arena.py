"""The arena: the same days for all, what differs said in words, and no ranking by luck."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, Bot
from decisions.models import Cycle, Decision, PromptTemplate
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import market
from trading.models import PerformanceDay
from trading.selectors import arena as arenas

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 29, 15, tzinfo=UTC)
TODAY = date(2026, 11, 29)
MOST_QUERIES = 12


@pytest.fixture
def owner(client, monkeypatch):
    user = person()
    market(NOW, kind="recorded", running=False)  # whose time stands still
    client.force_login(user)
    return user


def bot_with(owner, name, days, results, *, venue="sim", model="openrouter/x-ai/grok-4.3", **fields):
    """Return a bot with so many days up to today; `results` are the results of a day in turn, of 1,000 each time."""
    bot = bot_of(account_of(owner, name, venue), name, model=model, status=Bot.Status.RUNNING, **fields)
    for back in range(days):
        result = D(results[back % len(results)])
        sums = {"closed": 2, "won": 1, "fills": 4, "realised": result, "day": TODAY - timedelta(days=back)}
        PerformanceDay.objects.create(account=bot.account, bot=bot, model=model, cost=1, **sums)
        PerformanceDay.objects.create(
            account=bot.account, equity_first=1_000, equity_last=1_000 + result, equity_lowest=min(1_000, 1_000 + result),
            equity_highest=max(1_000, 1_000 + result), cost=1, **sums,
        )  # fmt: skip
    return bot


def decided(bot, minutes, **actions):
    at = NOW - timedelta(minutes=minutes)
    cycle = Cycle.objects.create(
        bot=bot, account=bot.account, scheduled_for=at, status="done", lease_until=at, began=at
    )
    for sequence, (symbol, action) in enumerate(actions.items(), 1):
        Decision.objects.create(cycle=cycle, bot=bot, sequence=sequence, symbol=symbol, action=action, at=at)


def compared(owner, span="month"):
    entrants = arenas.entrants_of(owner)
    return arenas.arena_of(arenas.chosen_of(entrants, [each.bot.pk for each in entrants]), span)


def text_of(client, path="/arena/", status=200):
    answer = client.get(path)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def said(found, *parts):
    return any(all(part in line for part in parts) for line in found.cautions)


def test_figures_are_of_the_days_that_all_have(owner):
    bot_with(owner, "old", 20, [10])
    bot_with(owner, "young", 5, [-10])
    found = compared(owner)
    assert [day.day for day in found.days] == [25, 26, 27, 28, 29]
    old, young = found.scores
    assert (old.days, young.days) == (5, 5)
    assert old.net == 5 * (10 - 1)
    assert old.returned == pytest.approx(1.009**5 - 1)
    assert (old.closed, old.won) == (10, 5)
    assert said(found, "Their days differ", "old 20", "young 5", "figures are of the 5")


def test_days_that_are_too_few_are_said_to_tell_nothing(client, owner):
    bot_with(owner, "one", 5, [10])
    bot_with(owner, "two", 5, [-10])
    found = compared(owner)
    assert said(found, "5 common days", "not told from luck")
    assert found.pairs[0].difference is None
    page = text_of(client)
    assert "too short to tell" in page
    assert "had more" not in page


def test_without_a_common_day_nothing_is_compared(owner):
    bot_with(owner, "one", 3, [10])
    two = bot_with(owner, "two", 3, [10])
    for row in PerformanceDay.objects.filter(account=two.account):
        PerformanceDay.objects.filter(pk=row.pk).update(day=row.day - timedelta(days=9))
    found = compared(owner)
    assert found.days == ()
    assert said(found, "no day in common")
    assert [score.days for score in found.scores] == [3, 3]


def test_a_difference_is_told_only_where_its_interval_allows(client, owner):
    bot_with(owner, "better", 40, [30, 28, 32])
    bot_with(owner, "worse", 40, [-30, -28, -32])
    bot_with(owner, "like", 40, [90, -30, 31])
    found = compared(owner, "all")
    pairs = {(pair.first.bot.name, pair.second.bot.name): pair.difference for pair in found.pairs}
    assert pairs["better", "worse"].tells
    assert pairs["better", "worse"].value == pytest.approx(0.06, abs=0.001)
    assert not pairs["better", "like"].tells
    page = text_of(client, "/arena/?span=all")
    assert "better had more" in page
    assert "0 lies within the interval" in page


def test_how_often_two_asked_the_same_is_counted_by_symbol_and_candle(owner):
    one, two = bot_with(owner, "one", 3, [1]), bot_with(owner, "two", 3, [1])
    decided(one, 3, BTCUSDT="hold", ETHUSDT="buy_to_enter", SOLUSDT="hold")
    decided(two, 3, BTCUSDT="hold", ETHUSDT="buy_to_enter")
    decided(one, 6, BTCUSDT="sell_to_enter")
    decided(two, 6, BTCUSDT="hold")
    decided(one, 9, BTCUSDT="hold")  # the other did not decide on this candle
    decided(one, 60 * 24 * 40, BTCUSDT="hold")
    decided(two, 60 * 24 * 40, BTCUSDT="hold")  # before the month
    pair = compared(owner).pairs[0]
    assert (pair.actions.part, pair.actions.whole) == (2, 3)
    assert (pair.entries.part, pair.entries.whole) == (1, 2)
    everything = compared(owner, "all").pairs[0]
    assert (everything.actions.part, everything.actions.whole) == (3, 4)


def test_what_differs_between_them_is_said(owner):
    market(NOW, venue="other", running=False)
    for version in (1, 2):
        PromptTemplate.objects.update_or_create(name="arena", version=version, defaults={"text": "x"})
    bot_with(owner, "one", 3, [1], prompt_version=1)
    bot_with(owner, "two", 3, [1], venue="other", interval="1h", symbols=["BTCUSDT"])
    found = compared(owner)
    assert said(found, "Different markets", "other (two)", "sim (one)")
    assert said(found, "Different prompts", "arena v1 (one)", "arena v2 (two)")
    assert said(found, "Different intervals")
    assert said(found, "do not trade the same symbols")


@pytest.mark.parametrize("market_time", [NOW, datetime(2020, 3, 1, tzinfo=UTC)])
def test_a_change_of_prompt_or_model_within_the_time_is_said_whatever_time_the_market_has(market_time):
    """The audit log keeps wall time: beside recorded candles of 2020 every change would be of now."""
    owner, now = person(), timezone.now()
    market(market_time, kind="recorded", running=False)
    one = bot_with(owner, "one", 3, [1])
    bot_with(owner, "two", 3, [1])
    entry = {"object_type": "accounts.bot", "object_id": str(one.pk), "action": "bot-change"}
    for back, before, after in ((4, 1, 2), (400, 3, 4)):
        AuditEntry.objects.create(
            before={"prompt_version": before}, after={"prompt_version": after}, at=now - timedelta(days=back), **entry
        )
    AuditEntry.objects.create(before={"status": "stopped"}, after={"status": "running"}, at=now, **entry)
    found = compared(owner)
    assert sum("one was changed" in line for line in found.cautions) == 1
    assert said(found, f"{now - timedelta(days=4):%d %b %Y}", "prompt version")


def test_the_equity_of_an_account_that_others_traded_on_is_nobodys(client, owner):
    one = bot_with(owner, "one", 3, [1])
    bot_with(owner, "two", 3, [1])
    PerformanceDay.objects.filter(account=one.account, bot=None).update(fills=6)
    found = compared(owner)
    assert found.scores[0].returned is None
    assert said(found, "On the account of one others traded too")
    assert "shared" in text_of(client)


def test_bots_that_run_on_one_market_are_chosen_at_first_and_a_prompt_narrows_them(client, owner):
    market(NOW, venue="other", running=False)
    bots = [bot_with(owner, f"bot{number}", 2, [1], prompt_version=1 + number % 2) for number in range(5)]
    bot_with(owner, "elsewhere", 2, [1], venue="other")
    entrants = arenas.entrants_of(owner)
    assert [each.bot for each in arenas.chosen_of(entrants, [])] == bots[:4]
    assert [each.bot for each in arenas.chosen_of(entrants, [], "arena v2")] == [bots[1], bots[3]]
    page = text_of(client, "/arena/?prompt=arena+v2")
    assert "bot1 and bot3" in page
    assert f'value="{bots[0].pk}"' not in page


def test_fewer_than_two_or_more_than_eight_are_said_to_be_so(client, owner):
    bots = [bot_with(owner, f"bot{number}", 1, [1]) for number in range(9)]
    assert "Choose at least two bots" in text_of(client, f"/arena/?bots={bots[0].pk}")
    page = text_of(client, "/arena/?" + "&".join(f"bots={bot.pk}" for bot in bots))
    assert "the first 8 are compared" in page
    assert "bot0 and bot7" in page
    assert "bot0 and bot8" not in page


def test_without_any_bot_it_says_so(client, owner):
    assert "no bot to compare yet" in text_of(client)


@pytest.mark.parametrize("query", ["bots=x", "bots=99999999999999999999999", "bots=-1", "span=century"])
@pytest.mark.parametrize("path", ["/arena/", "/arena/equity/"])
def test_what_it_does_not_know_is_not_found(client, owner, path, query):
    text_of(client, f"{path}?{query}", status=404)


def test_the_bots_of_others_are_not_found(client, owner):
    theirs = bot_with(person("other@vibex.local"), "theirs", 2, [1])
    mine = bot_with(owner, "mine", 2, [1])
    for path in ("/arena/", "/arena/equity/"):
        text_of(client, f"{path}?bots={theirs.pk}", status=404)
    assert "theirs" not in text_of(client, f"/arena/?bots={mine.pk}")


def test_it_costs_the_same_with_two_and_with_eight_of_many(client, owner):
    bots = [bot_with(owner, f"bot{number}", 3, [1]) for number in range(2)]
    few_path = "/arena/?" + "&".join(f"bots={bot.pk}" for bot in bots)
    client.get(few_path)
    with CaptureQueriesContext(connection) as few:
        client.get(few_path)
    bots += [bot_with(owner, f"more{number}", 3, [1]) for number in range(20)]
    for bot in bots:
        decided(bot, 3, BTCUSDT="hold")
    with CaptureQueriesContext(connection) as many:
        client.get("/arena/?" + "&".join(f"bots={bot.pk}" for bot in bots[:8]))
    assert len(many) == len(few)
    assert len(many) <= MOST_QUERIES
