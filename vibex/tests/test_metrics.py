"""Metrics tell how things stand and what has happened, as the database knows it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import RedisError

from accounts.models import Backup, Incident
from decisions.models import Cycle, Interaction
from tests.support.demo import demo
from trading.models import Fill, GuardState, Order, OrderEvent, Position, Reconciliation
from trading.tests.builders import make_account, make_bot
from vibex.metrics import samples
from vibex.metrics.exposition import PAGE, exposition
from vibex.metrics.families import FAMILIES
from vibex.tests.metrics_kit import nothing_counted, now, told, value

__all__ = ["nothing_counted"]

pytestmark = pytest.mark.django_db


def of(account, **more):
    return {"account": str(account.pk), "name": account.name, "mode": account.badge, **more}


def a_cycle(bot, status="done", *, minutes=0, **fields):
    at = timezone.now() - timedelta(minutes=minutes)
    given = {"ended": at + timedelta(seconds=4), "timings": {"ask": 3500.0}, "lease_until": at, "began": at}
    return Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=at, status=status, **{**given, **fields})


def test_counters_begin_at_nothing_and_count_what_comes_after() -> None:
    bot = make_bot()
    a_cycle(bot, minutes=9)
    assert value(now(), "vibex_cycles_total", status="done") == 0
    a_cycle(bot, minutes=6)
    a_cycle(bot, "failed", minutes=3)
    found = now()
    assert value(found, "vibex_cycles_total", status="done") == 1
    assert value(found, "vibex_cycles_total", status="failed") == 1
    assert value(found, "vibex_cycles_in_time_total") == 1
    assert value(found, "vibex_cycle_stage_seconds_count", stage="ask") == 2
    assert value(found, "vibex_cycle_stage_seconds_bucket", stage="ask", le="2.5") == 0
    assert value(found, "vibex_cycle_stage_seconds_bucket", stage="ask", le="5.0") == 2
    assert value(now(), "vibex_cycles_total", status="done") == 1, "nothing is counted twice"


def test_a_cycle_that_runs_is_counted_once_it_ends() -> None:
    bot = make_bot()
    a_cycle(bot, minutes=9)
    now()
    running = a_cycle(bot, "running", ended=None, timings={})
    found = now()
    assert value(found, "vibex_cycles_running") == 1
    assert value(found, "vibex_cycles_total", status="done") == 0
    Cycle.objects.filter(pk=running.pk).update(status="done", ended=timezone.now(), timings={"ask": 12.0})
    found = now()
    assert value(found, "vibex_cycles_running") == 0
    assert value(found, "vibex_cycles_total", status="done") == 1
    assert value(now(), "vibex_cycles_total", status="done") == 1


def test_a_cycle_over_its_deadline_was_not_in_time() -> None:
    bot = make_bot()
    now()
    began = timezone.now() - timedelta(minutes=3)
    a_cycle(bot, began=began, ended=began + timedelta(seconds=bot.deadline_seconds + 61))
    found = now()
    assert value(found, "vibex_cycles_total", status="done") == 1
    assert value(found, "vibex_cycles_in_time_total") == 0


def test_what_models_cost_and_how_long_they_took_is_told_by_model() -> None:
    made = demo(now=timezone.now())
    now()
    Interaction.objects.create(
        bot=made.bot, model_requested="deepseek-chat", provider="deepseek", prompt_tokens=900, completion_tokens=80,
        cost=None, estimate=Decimal("0.004"), latency_ms=2_200, outcome="rejected",
    )  # fmt: skip
    model = "deepseek/deepseek-chat"
    found = now()
    assert value(found, "vibex_model_calls_total", model=model, purpose="cycle", outcome="rejected") == 0
    assert value(found, "vibex_model_seconds_count", model=model) == 0, "what is new is told as 0 first"
    found = now()
    assert value(found, "vibex_model_calls_total", model=model, purpose="cycle", outcome="rejected") == 1
    assert value(found, "vibex_model_tokens_total", model=model, kind="prompt") == 900
    assert value(found, "vibex_model_cost_usd_total", model=model) == 0.004
    assert value(found, "vibex_model_seconds_sum", model=model) == 2.2


def test_orders_that_were_refused_are_told_by_who_refused_them() -> None:
    account = make_account()
    now()

    def happened(role, *steps):
        order = Order.objects.create(
            account=account,
            client_order_id=f"vx{Order.objects.count()}",
            role=role,
            symbol="BTCUSDT",
            side="BUY",
            type="LIMIT",
        )
        for sequence, (state, reason) in enumerate(steps, 1):
            OrderEvent.objects.create(order=order, sequence=sequence, kind=state, state=state, data={"reason": reason})

    happened("entry", ("planned", ""), ("denied", "the lease was lost"))
    happened("stop", ("planned", ""), ("sending", ""), ("done", "refused"))
    happened("target", ("planned", ""), ("sending", ""), ("done", "not placed: would trigger at once"))
    happened("entry", ("planned", ""), ("sending", ""), ("unknown", "no answer"), ("done", "filled"))
    found = now()
    assert value(found, "vibex_orders_total", role="entry") == 2
    rejected = found["vibex_order_rejections_total"]
    assert {labels: count for labels, count in rejected.items() if count} == {
        (("by", "us"), ("role", "entry")): 1,
        (("by", "venue"), ("role", "stop")): 1,
        (("by", "venue"), ("role", "target")): 1,
    }
    assert value(found, "vibex_orders_unknown_total", role="entry") == 1


@pytest.mark.parametrize(
    ("side", "role", "trigger", "price", "worse"),
    [
        ("BUY", "entry", None, "101", 0.01),
        ("BUY", "entry", None, "99", 0.0),
        ("SELL", "close", None, "99.5", 0.005),
        ("SELL", "stop", "98", "97.02", 0.01),
        ("SELL", "target", "110", "111", 0.0),
    ],
)
def test_slippage_is_counted_from_the_trigger_or_from_what_the_bot_was_shown(side, role, trigger, price, worse) -> None:
    bot = make_bot()
    cycle = a_cycle(bot, seen={"BTCUSDT": {"price": "100"}})
    now()
    order = Order.objects.create(
        account=bot.account, cycle=cycle if trigger is None else None, client_order_id="vx1", role=role,
        symbol="BTCUSDT", side=side, type="LIMIT", trigger=trigger,
    )  # fmt: skip
    Fill.objects.create(
        account=bot.account, order=order, symbol="BTCUSDT", exchange_trade_id="1", side=side, quantity=Decimal("0.1"),
        price=Decimal(price), fee=Decimal("0.05"), at=timezone.now(),
    )  # fmt: skip
    found = now()
    assert value(found, "vibex_slippage_ratio_sum", mode="paper", role=role) == pytest.approx(worse)
    assert value(found, "vibex_slippage_ratio_count", mode="paper", role=role) == 1
    assert value(found, "vibex_fees_total", mode="paper") == 0.05


def test_a_position_without_a_stop_is_told_at_once() -> None:
    account, at = make_account(), timezone.now()
    GuardState.objects.create(
        account=account, since=at - timedelta(hours=1), at=at - timedelta(seconds=20), full_at=at - timedelta(minutes=4)
    )
    for symbol, bracket in (("BTCUSDT", "armed"), ("ETHUSDT", "arming"), ("SOLUSDT", "adjusting")):
        Position.objects.create(
            account=account,
            symbol=symbol,
            side="long",
            quantity=1,
            cost=100,
            entry_price=100,
            opened=at,
            bracket=bracket,
        )
    found = now()
    assert value(found, "vibex_positions_open", **of(account)) == 3
    assert value(found, "vibex_positions_unprotected", **of(account)) == 1
    assert value(found, "vibex_protection_age_seconds", **of(account)) == pytest.approx(20, abs=10)
    assert value(found, "vibex_exchange_read_age_seconds", **of(account)) == pytest.approx(240, abs=10)


def test_money_of_accounts_is_told_with_its_limits() -> None:
    made = demo(now=timezone.now())
    found = now()
    labels = of(made.account)
    assert value(found, "vibex_account_equity", **labels) == float(made.account.loss_watch.equity)
    assert value(found, "vibex_account_drawdown_ratio", **labels) == pytest.approx(1 - 1.008 / 1.021)
    assert value(found, "vibex_account_drawdown_limit_ratio", **labels) == float(made.account.limits.max_drawdown)
    assert value(found, "vibex_account_state", **labels, state="active") == 1
    assert value(found, "vibex_account_state", **labels, state="halted") == 0


def test_what_the_newest_comparison_left_stays_told_until_one_agrees() -> None:
    account = make_account()
    Reconciliation.objects.create(account=account, trigger="hourly", agreed=False, left=["a", "b"], mended=["c"])
    assert value(now(), "vibex_reconcile_differences", **of(account)) == 2
    Reconciliation.objects.create(account=account, trigger="hourly", agreed=True, left=[], mended=["d"])
    found = now()
    assert value(found, "vibex_reconcile_differences", **of(account)) == 0
    assert value(found, "vibex_reconciliations_total", result="agreed") == 1
    assert value(found, "vibex_reconcile_mended_total") == 1


def test_what_a_comparison_left_is_told_however_many_others_were_made_since() -> None:
    account, other = make_account("paper1"), make_account("paper2")
    Reconciliation.objects.create(account=account, trigger="hourly", agreed=False, left=["a"])
    Reconciliation.objects.bulk_create(Reconciliation(account=other, trigger="x", agreed=True) for _ in range(501))
    assert value(now(), "vibex_reconcile_differences", **of(account)) == 1


def test_the_age_of_the_newest_whole_backup_is_told(settings) -> None:
    settings.BACKUP_HOURLY = False
    assert value(now(), "vibex_backup_hourly") == 0
    settings.BACKUP_HOURLY = True
    assert value(now(), "vibex_backup_hourly") == 1
    assert value(now(), "vibex_backup_present") == 0
    at = timezone.now() - timedelta(hours=2)
    Backup.objects.create(name="one", at=at, well=True, place="here")
    Backup.objects.create(name="two", at=timezone.now(), well=False, place="here", problem="the disk is full")
    found = now()
    assert value(found, "vibex_backup_present") == 1
    assert value(found, "vibex_backup_age_seconds") == pytest.approx(7200, abs=60)


def test_every_metric_that_is_printed_is_declared_with_its_type_and_help() -> None:
    demo(now=timezone.now())
    page = exposition.page().decode()
    types = dict(line.split()[2:4] for line in page.splitlines() if line.startswith("# TYPE"))
    assert types.items() <= {(family.name, family.kind) for family in FAMILIES}
    for family in FAMILIES:
        assert family.help.endswith("."), family
        assert family.name.endswith("_total") == (family.kind == "counter"), family


def test_accounts_above_the_cap_are_counted_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_ACCOUNTS", 3)
    for number in range(5):
        make_account(f"paper{number}")
    found = now()
    assert len(found["vibex_account_locked"]) == 3
    assert value(found, "vibex_accounts_left_out") == 2


def test_no_account_in_trouble_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_ACCOUNTS", 1)
    for number in range(3):
        GuardState.objects.create(account=make_account(f"paper{number}"), since=timezone.now())
    account = make_account("naked")
    Position.objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, cost=1, entry_price=1, opened=timezone.now()
    )
    Order.objects.create(
        account=make_account("other"), client_order_id="vx1", role="stop", symbol="BTCUSDT", side="SELL", type="STOP",
        state="unknown",
    )  # fmt: skip
    found = now()
    assert value(found, "vibex_positions_unprotected", **of(account)) == 1
    assert value(found, "vibex_orders_open", role="stop", state="unknown") == 1


def test_an_account_that_the_guard_never_looked_after_waits_for_it() -> None:
    account, at = make_account(), timezone.now()
    state = GuardState.objects.create(account=account, since=at - timedelta(minutes=5))
    Position.objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, cost=1, entry_price=1, opened=at, bracket="armed"
    )
    found = now()
    assert value(found, "vibex_protection_age_seconds", **of(account)) == pytest.approx(300, abs=10)
    assert value(found, "vibex_exchange_read_age_seconds", **of(account)) == pytest.approx(300, abs=10)
    GuardState.objects.filter(pk=state.pk).update(at=at - timedelta(days=3), since=at - timedelta(seconds=20))
    found = now()
    assert value(found, "vibex_protection_age_seconds", **of(account)) == pytest.approx(20, abs=10), "idle for days"


def test_more_models_than_are_told_apart_are_counted_together() -> None:
    bot = make_bot()
    now()
    rows = [Interaction(bot=bot, model_requested=f"some/model-{number}", outcome="answered") for number in range(200)]
    Interaction.objects.bulk_create(rows)
    now()
    found = now()["vibex_model_calls_total"]
    assert len(found) == 151
    assert sum(found.values()) == 200
    assert value({"calls": found}, "calls", model="other", purpose="other", outcome="other") == 50


def test_the_number_of_statements_does_not_depend_on_how_much_there_is() -> None:
    make_account("first")
    now()

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            now()
        return len(captured)

    few = statements()
    for number in range(12):
        made = make_bot(f"bot{number}", status="running", cost_per_day=1)
        a_cycle(made)
        Incident.objects.create(account=made.account, kind="close-refused", text="no")
        Position.objects.create(
            account=made.account,
            symbol="BTCUSDT",
            side="long",
            quantity=1,
            cost=1,
            entry_price=1,
            opened=timezone.now(),
        )
    assert statements() <= few + 1, "the sums of bots with a budget are one statement more than none"


def test_two_who_ask_within_five_seconds_cost_one_reading() -> None:
    exposition.page()
    with CaptureQueriesContext(connection) as captured:
        exposition.page()
    assert len(captured) == 0


def test_a_part_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_):
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr("trading.selectors.metrics.standing.standings", broken)
    found = now()
    assert value(found, "vibex_metrics_part_failed", part="accounts") == 1
    assert value(found, "vibex_metrics_part_failed", part="troubles") == 0
    assert value(found, "vibex_halts") == 0
    assert "vibex_account_equity" not in found


def test_a_fault_of_ours_in_a_part_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(**_):
        return [None]

    monkeypatch.setattr("trading.selectors.metrics.standing.standings", wrong)
    found = now()
    assert value(found, "vibex_metrics_part_failed", part="accounts") == 1
    assert value(found, "vibex_metrics_part_failed", part="troubles") == 0
    assert value(found, "vibex_halts") == 0


def test_a_row_that_cannot_be_counted_is_told_once_and_has_no_other_counted_twice() -> None:
    bot = make_bot()
    now()
    a_cycle(bot, minutes=9)
    a_cycle(bot, minutes=6, timings={"ask": "soon"})
    a_cycle(bot, minutes=3)
    found = now()
    assert value(found, "vibex_metrics_part_failed", part="new cycles") == 1
    assert value(found, "vibex_cycles_total", status="done") == 3
    assert value(found, "vibex_cycle_stage_seconds_count", stage="ask") == 2
    found = now()
    assert value(found, "vibex_metrics_part_failed", part="new cycles") == 0
    assert value(found, "vibex_cycles_total", status="done") == 3


def test_a_table_that_cannot_be_read_by_a_fault_of_ours_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now()
    monkeypatch.setattr("vibex.metrics.growing._same_table", lambda *_: {}["missing"])
    found = now()
    assert value(found, "vibex_metrics_part_failed", part="new cycles") == 1
    assert value(found, "vibex_halts") == 0


def test_a_database_that_is_away_is_told_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away():
        asked.append(1)
        raise OperationalError("connection refused")

    monkeypatch.setattr("vibex.looks.database", away)
    found = now()
    assert len(asked) == 1
    assert value(found, "vibex_ready") == 0
    assert value(found, "vibex_check", check="database") == 0
    assert value(found, "vibex_metrics_part_failed", part="database") == 1
    assert value(found, "vibex_cycles_total", status="done") == 0, "what was counted stays"


def test_another_database_under_the_same_process_begins_anew() -> None:
    bot = make_bot()
    last = a_cycle(bot, minutes=9)
    now()
    a_cycle(bot, minutes=6)
    assert value(now(), "vibex_cycles_total", status="done") == 1
    Cycle.objects.all().delete()
    Cycle.objects.create(pk=last.pk - 1, bot=bot, account=bot.account, scheduled_for=timezone.now(), status="done",
                         lease_until=timezone.now())  # fmt: skip
    now()
    a_cycle(bot, pk=last.pk, minutes=1)
    assert value(now(), "vibex_cycles_total", status="done") == 2


def test_processes_go_on_from_the_same_totals(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(samples, "OUTSIDE", ())
    bot = make_bot()
    now()
    a_cycle(bot, minutes=6)
    assert value(now(), "vibex_cycles_total", status="done") == 1
    exposition.forget()  # as another process, which has counted nothing
    cache.delete(PAGE)
    a_cycle(bot, minutes=3)
    assert value(now(), "vibex_cycles_total", status="done") == 2
    exposition.forget()
    assert value(told(exposition.page()), "vibex_cycles_total", status="done") == 2, (
        "and within five seconds reads nothing"
    )
    cache.clear()


def test_while_others_cannot_be_asked_only_who_has_counted_tells_counters(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> None:
        raise RedisError("connection refused")

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(samples, "OUTSIDE", ())
    bot = make_bot()
    now()
    a_cycle(bot, minutes=6)
    monkeypatch.setattr("vibex.metrics.exposition.cache.get", away)
    found = now()
    assert value(found, "vibex_cycles_total", status="done") == 1
    assert value(found, "vibex_metrics_part_failed", part="counters") == 0
    exposition.forget()  # as another process, which has counted nothing
    found = now()
    assert "vibex_cycles_total" not in found
    assert value(found, "vibex_metrics_part_failed", part="counters") == 1
    assert value(found, "vibex_halts") == 0
    cache.clear()
