"""The page of a bot: funnel, calibration, schedule, and a decision at once."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Bot, Job
from decisions.domain.shares import Share
from decisions.models import Cycle, Decision, Interaction
from tests.support.demo import account_of, bot_of, demo, person
from trading.domain.calibration import calibration_of
from trading.models import Order, Position
from trading.selectors.bot_page import bot_funnel, cycle_page
from trading.selectors.calibration import bot_calibration
from trading.services import deciding
from trading.services.deciding import cycle_begun
from trading.tests.builders import make_trader

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=6, equity_points=10)
    make_trader(made.user)
    client.force_login(made.user)
    client.get("/halt/state/")  # the first request of a session puts its sign-in on record
    return made


def text_of(client, path, status=200, **headers):
    answer = client.get(path, headers=headers)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def queries(client, path):
    with CaptureQueriesContext(connection) as seen:
        assert client.get(path).status_code == 200
    return len(seen)


# -- calibration ------------------------------------------------------------------------------------------------------


def test_confidence_is_held_against_what_came():
    trades = [(0.9, True)] * 6 + [(0.9, False)] * 4 + [(0.55, True), (0.5, False)]
    found = calibration_of(trades)
    assert [(each.low, each.hits) for each in found.buckets] == [(0.5, Share(1, 2)), (0.9, Share(6, 10))]
    assert found.hits == Share(7, 12)
    by_hand = (6 * 0.1**2 + 4 * 0.9**2 + 0.45**2 + 0.5**2) / 12
    assert found.brier == pytest.approx(by_hand)
    assert found.base == pytest.approx(7 / 12 * 5 / 12)
    assert found.few


@pytest.mark.parametrize(
    ("stated", "hits", "whole", "verdict"),
    [(0.95, 5, 10, "too sure"), (0.35, 9, 10, "too unsure"), (0.55, 5, 10, ""), (0.95, 0, 1, "too sure")],
)
def test_a_bucket_says_only_what_its_interval_allows(stated, hits, whole, verdict):
    (bucket,) = calibration_of([(stated, True)] * hits + [(stated, False)] * (whole - hits)).buckets
    assert bucket.verdict == verdict


@pytest.mark.parametrize("stated", [0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0, 0.0])
def test_a_bucket_begins_at_its_own_edge(stated):
    (bucket,) = calibration_of([(stated, True)]).buckets
    assert bucket.low == pytest.approx(min(stated, 0.9))


def test_what_is_no_probability_is_left_out():
    assert calibration_of([(1.2, True), (-0.1, False), (float("nan"), True)]).buckets == ()
    assert calibration_of([]).brier is None


def trade(made, confidence, net, hours=1, closed=True, symbol="BTCUSDT"):
    cycle = Cycle.objects.create(
        bot=made.bot, account=made.account, scheduled_for=made.now - timedelta(hours=hours, microseconds=uuid4().int % 10**6),
        status="done", lease_until=made.now,
    )  # fmt: skip
    decision = Decision.objects.create(
        cycle=cycle, bot=made.bot, sequence=1, symbol=symbol, action="buy_to_enter", verdict="accepted",
        confidence=confidence, at=cycle.scheduled_for,
    )  # fmt: skip
    return Position.objects.create(
        account=made.account, bot=made.bot, decision=decision, symbol=symbol, side="long", quantity=0 if closed else 1,
        cost=0, entry_price=1, opened=cycle.scheduled_for, closed=made.now if closed else None,
        realised=Decimal(net) + 1, fees=1,
    )  # fmt: skip


def test_a_trade_won_when_it_brought_more_than_its_fees(made):
    for confidence, net in ((0.8, "2"), (0.8, "-0.5"), (0.8, "0"), (None, "5")):
        trade(made, confidence, net)
    trade(made, 0.8, "9", closed=False, symbol="XRPUSDT")
    assert bot_calibration(made.bot).hits == Share(1, 3)


# -- the funnel -------------------------------------------------------------------------------------------------------


def test_the_funnel_counts_from_cycles_to_fills(made):
    funnel = bot_funnel(made.bot, span=WEEK, now=timezone.now() + timedelta(minutes=1))
    steps = {stage.name: stage.count for stage in funnel.stages}
    holds = Decision.objects.filter(action="hold").count()
    assert steps["Cycles"] == Cycle.objects.count()
    assert steps["Asked"] == Interaction.objects.count()
    assert steps["Proposals"] == Decision.objects.count()
    assert steps["To act"] == Decision.objects.count() - holds == 3
    assert (steps["Allowed"], steps["of which reduced"], steps["Ordered"], steps["Filled"]) == (3, 3, 2, 2)
    assert next(stage for stage in funnel.stages if stage.name == "Cycles").ended == (("failed", 1),)
    assert funnel.total.proposed == steps["Proposals"]


def test_refusals_are_told_by_their_rules_and_an_order_that_filled_nothing_is_not_filled(made):
    Decision.objects.filter(symbol="SOLUSDT", action="sell_to_enter").update(
        verdict="refused", rule_ids=["cap.gross", "size.risk"]
    )
    Order.objects.filter(decision__isnull=False, role="entry").update(filled=0)
    funnel = bot_funnel(made.bot, span=WEEK, now=timezone.now() + timedelta(minutes=1))
    steps = {stage.name: stage for stage in funnel.stages}
    assert set(steps["Allowed"].ended) == {("cap.gross", 1), ("size.risk", 1)}
    assert (steps["To act"].count, steps["Allowed"].count, steps["Filled"].count) == (3, 2, 0)


def test_what_lies_outside_the_time_or_belongs_to_another_bot_does_not_count(made):
    Cycle.objects.update(began=made.now - timedelta(days=8))
    assert bot_funnel(made.bot, span=WEEK, now=timezone.now()).empty
    demo("second@vibex.local", now=made.now, feed=False, cycles=2)
    assert bot_funnel(made.bot, span=WEEK, now=timezone.now()).empty


def test_a_bot_of_rules_was_never_asked(made):
    Interaction.objects.update(outcome="not_asked")
    funnel = bot_funnel(made.bot, span=WEEK, now=timezone.now() + timedelta(minutes=1))
    assert not funnel.asks
    assert "Asked" not in {stage.name for stage in funnel.stages}


# -- the pages --------------------------------------------------------------------------------------------------------


def test_the_page_says_when_and_how_the_bot_decides(client, made):
    page = text_of(client, f"/bots/{made.bot.pk}/")
    for said in ("Next decision", "s after each 3m close", "30 s for everything that is asked", "carried out at once"):
        assert said in page
    Bot.objects.update(approval=True, status="paused")
    page = text_of(client, f"/bots/{made.bot.pk}/")
    assert "none: it does not run" in page
    assert "wait for a person" in page


def test_its_parts_are_pages_too_and_alone_for_htmx(client, made):
    trade(made, 0.9, "-2")
    for part, said in (
        ("funnel", "Calibration of stated confidence"),
        ("spent", "Result and model cost"),
        ("shadows", "only to compare"),
    ):
        path = f"/bots/{made.bot.pk}/{part}/"
        assert f'hx-get="{path}"' in text_of(client, f"/bots/{made.bot.pk}/") or part == "shadows"
        whole, alone = text_of(client, path), text_of(client, path, **{"HX-Request": "true"})
        assert said in whole
        assert said in alone
        assert "<html" in whole
        assert "<html" not in alone
    funnel = text_of(client, f"/bots/{made.bot.pk}/funnel/?days=1")
    assert "too sure" in funnel
    assert "1 trade is few" in funnel
    assert text_of(client, f"/bots/{made.bot.pk}/funnel/?days=400")


def test_another_persons_bot_is_not_found(client, made):
    client.force_login(person("other@vibex.local"))
    for part in ("", "funnel/", "spent/", "shadows/", "cost/"):
        text_of(client, f"/bots/{made.bot.pk}/{part}", status=404)
    assert client.post(f"/bots/{made.bot.pk}/decide/").status_code in (403, 404)


@pytest.mark.parametrize("part", ["", "funnel/", "spent/", "shadows/"])
def test_each_page_costs_the_same_few_queries_however_much_there_is(client, made, part):
    path = f"/bots/{made.bot.pk}/{part}"
    client.get(path)
    few = queries(client, path)
    for number in range(40):
        bot_of(account_of(made.user, f"more{number}"))
        trade(made, 0.5 + number / 100, "1", hours=number)
    client.get(path)
    assert queries(client, path) == few
    assert few <= 12


def test_cycles_come_by_the_page_and_nobody_counts_them(made, django_assert_num_queries):
    Cycle.objects.bulk_create(
        Cycle(
            bot=made.bot,
            account=made.account,
            status="done",
            lease_until=made.now,
            scheduled_for=made.now - timedelta(days=1, minutes=n),
        )
        for n in range(90)
    )
    with django_assert_num_queries(1):
        first = cycle_page(made.bot, "")
    assert (len(first.cycles), first.number, first.more) == (25, 1, True)
    last = cycle_page(made.bot, "4")
    assert (last.more, {each.pk for each in first.cycles} & {each.pk for each in last.cycles}) == (False, set())
    assert [cycle_page(made.bot, wrong).number for wrong in ("x", "-1", "0", "٣", "9" * 30)] == [1] * 5


# -- decide now -------------------------------------------------------------------------------------------------------


def work(job, **_):
    cycle = Cycle.objects.create(
        bot=job_bot(job), account=job_bot(job).account, scheduled_for=timezone.now(), lease_until=timezone.now()
    )
    Cycle.objects.filter(pk=cycle.pk).update(status="done")
    return {"cycle": cycle.pk}


def job_bot(job):
    return Job.objects.get(pk=job.job_id).bot


def test_the_same_form_begins_one_decision_and_another_form_another(client, made, monkeypatch):
    monkeypatch.setattr("trading.api.cycles.cycle_work", work)
    before, path = Cycle.objects.count(), f"/bots/{made.bot.pk}/decide/"
    first = client.post(path, {"token": "a" * 32})
    assert client.post(path, {"token": "a" * 32})["Location"] == first["Location"]
    assert Cycle.objects.count() == before + 1
    assert client.post(path, {"token": "b" * 32})["Location"] != first["Location"]
    assert Cycle.objects.count() == before + 2


def test_a_form_of_which_another_process_does_the_work_begins_nothing_here(client, made, monkeypatch):
    """That it was sent stands in the database before anything begins; nobody here knows how it went on there."""
    monkeypatch.setattr("accounts.access.once.FIRST_BEGINS", 0)
    monkeypatch.setattr("trading.api.cycles.cycle_work", work)
    monkeypatch.setattr("accounts.access.once.call_answered", lambda **_: None)
    before, path = Cycle.objects.count(), f"/bots/{made.bot.pk}/decide/"
    client.post(path, {"token": "a" * 32})
    again = client.post(path, {"token": "a" * 32}, follow=True)
    assert Cycle.objects.count() == before + 1
    assert "This form was sent before" in again.content.decode()


def test_a_decision_at_once_leads_to_its_cycle_and_a_double_click_to_the_same(client, made, monkeypatch):
    monkeypatch.setattr("trading.api.cycles.cycle_work", work)
    page = client.get(f"/bots/{made.bot.pk}/").content.decode()
    token = page.split('name="token" value="')[1].split('"')[0]
    answers = {client.post(f"/bots/{made.bot.pk}/decide/", {"token": token})["Location"] for _ in range(2)}
    newest = Cycle.objects.order_by("-pk").first()
    assert answers == {f"/cycles/{newest.pk}/"}
    assert Job.objects.filter(kind=deciding.KIND).count() == 1


def test_a_real_cycle_runs_and_is_shown(client, made):
    Bot.objects.filter(pk=made.bot.pk).update(status="stopped")
    answer = client.post(f"/bots/{made.bot.pk}/decide/", {"form": "x"}, follow=True)
    assert answer.status_code == 200
    job = Job.objects.get()
    assert job.status in ("done", "failed")
    if job.problem:  # a market without fresh prices: the reason is told, and the cycle that failed is shown
        assert job.problem["detail"].split(":")[0] in answer.content.decode()
    assert cycle_begun(job)


def test_why_it_did_not_begin_is_told(client, made, monkeypatch):
    from vibex.lib.errors import Rejected

    def refused(job, *, bot):
        raise Rejected("A cycle of this account is already running.", code="running")

    monkeypatch.setattr("trading.api.cycles.cycle_work", refused)
    page = client.post(f"/bots/{made.bot.pk}/decide/", {"form": "x"}, follow=True).content.decode()
    assert "A cycle of this account is already running." in page


def test_real_money_is_asked_for_first(client, made):
    before = account_of(made.user, "before", venue="aster")
    Account.objects.filter(pk=made.account.pk).update(mode="live", venue="aster", promoted_from=before)
    answer = client.post(f"/bots/{made.bot.pk}/decide/", {"form": "x"})
    assert answer.status_code == 403
    assert "This acts on real money: the account paper." in answer.content.decode()
    assert not Job.objects.exists()
    page = text_of(client, f"/bots/{made.bot.pk}/")
    assert "within the same limits, with real money" in page
    assert "Asks first" in page


def test_a_live_bot_whose_models_are_known_costs_no_more_than_twelve(client, made):
    before = account_of(made.user, "before", venue="aster")
    Account.objects.filter(pk=made.account.pk).update(mode="live", venue="aster", promoted_from=before)
    Bot.objects.update(model="openrouter/x/y", shadow_models=["openrouter/x/z"], status="paused")
    for part in ("", "funnel/", "spent/", "shadows/"):
        client.get(f"/bots/{made.bot.pk}/{part}")
        assert queries(client, f"/bots/{made.bot.pk}/{part}") <= 12, part


def test_who_may_only_look_decides_nothing(client, made):
    made.user.user_permissions.clear()
    made.user.groups.clear()
    assert client.post(f"/bots/{made.bot.pk}/decide/", {"form": "x"}).status_code == 403
    assert "Decide now" not in text_of(client, f"/bots/{made.bot.pk}/")
    assert not Job.objects.exists()


def test_a_cycle_that_runs_is_followed_until_it_ends(client, made):
    cycle = made.cycles[-1]
    Cycle.objects.filter(pk=cycle.pk).update(status="running", stage="ask")
    page = text_of(client, f"/cycles/{cycle.pk}/")
    assert "It is deciding just now, at <b>ask</b>" in page
    assert 'hx-trigger="every 2s' in page
    Cycle.objects.filter(pk=cycle.pk).update(status="done")
    assert "just now" not in text_of(client, f"/cycles/{cycle.pk}/")
