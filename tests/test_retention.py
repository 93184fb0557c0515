"""What was kept long enough goes, table by table; orders, fills, decisions and what they rest on never do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
import time_machine
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import Alert, ApiKey, Backup, IdempotentCall, SignIn
from decisions.models import AskBucket, AskPlace, Interaction, SpendDay
from tests.support.demo import NOW, demo
from trading.models import EquityPoint, Lock, PerformanceDay, Reconciliation
from trading.services.performance import performance_rebuild
from trading.services.replay_ask import prompt_of
from trading.services.retention import ALL_RULES, HISTORY, KEPT, prune
from vibex.celery import app
from vibex.lib import retention
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db

NEVER = [table for table, why in KEPT.items() if why == HISTORY or table.startswith("trading.Paper")]
A_YEAR = timedelta(days=366)


def told(*arguments: str) -> list[dict]:
    out = StringIO()
    call_command("prune", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def rows_of(tables) -> dict[str, int]:
    return {table: apps.get_model(table)._default_manager.count() for table in tables if "_" not in table.split(".")[1]}


def test_every_table_either_has_a_rule_or_a_reason_to_stay():
    tables = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    with_rules = {rule.table for rule in ALL_RULES}
    assert with_rules | set(KEPT) == tables
    assert not with_rules & set(KEPT)


def test_the_days_of_every_rule_are_a_variable_or_said_in_words(settings):
    for rule in ALL_RULES:
        assert hasattr(settings, rule.after) or not rule.after.isupper(), rule


def test_a_hundred_years_later_all_orders_fills_and_decisions_are_there_as_they_were():
    made = demo()
    before = rows_of(NEVER)
    assert all(
        before[table] for table in ("trading.Order", "trading.Fill", "decisions.Decision", "accounts.AuditEntry")
    )
    replies = list(Interaction.objects.order_by("pk").values_list("reply", "prompt_digest", "cost", "outcome"))
    with time_machine.travel(NOW + 100 * A_YEAR, tick=False):
        gone = {one.rule.table: one.rows for one in prune()}
    assert rows_of(NEVER) == before
    assert list(Interaction.objects.order_by("pk").values_list("reply", "prompt_digest", "cost", "outcome")) == replies
    assert gone["decisions.Interaction"] == len(replies) > 0
    assert gone["marketdata.Snapshot"] > 0
    assert set(Interaction.objects.values_list("user_prompt", "system_prompt")) == {("", "")}
    with pytest.raises(Rejected, match="PROMPT_RETENTION_DAYS"):
        prompt_of(made.cycles[-1])
    client = Client()
    client.force_login(made.user)
    page = client.get(f"/cycles/{made.cycles[-1].pk}/").content.decode()
    assert "The text of the prompt was kept long enough and is gone" in page


def test_what_is_young_stays():
    demo()
    everything = [model._meta.label for model in apps.get_models()]
    with time_machine.travel(NOW + timedelta(hours=1), tick=False):
        before = rows_of(everything)
        prune()
        after = rows_of(everything)
    passing = {"decisions.AskPlace", "decisions.AskBucket", "decisions.SpendDay"}  # of minutes, by their own clock
    assert {table: (before[table], after[table]) for table in before if before[table] != after[table]}.keys() <= passing


def test_people_s_traces_go_after_their_time_and_open_ones_never():
    made = demo()
    now = timezone.now()
    old, user = now - A_YEAR - A_YEAR, made.user
    SignIn.objects.create(user=user, kind="session", created=old, seen=old)
    SignIn.objects.create(user=user, kind="session", created=old, seen=old, ended=old)
    for prefix, revoked, expires in (("a", None, None), ("b", old, None), ("c", None, old), ("d", None, now + A_YEAR)):
        ApiKey.objects.create(user=user, name=prefix, prefix=prefix, digest="x", revoked=revoked, expires=expires)
    IdempotentCall.objects.create(user=user, key="old", digest="x", created=now - timedelta(hours=25))
    IdempotentCall.objects.create(user=user, key="new", digest="x", created=now - timedelta(hours=23))
    Alert.objects.all().delete()
    for text, done in (("open", None), ("done", old)):
        Alert.objects.create(user=user, type="trade", severity="info", message=text, last=old, acknowledged=done)
    for name, at in (("first", old), ("second", old + timedelta(days=1))):
        Backup.objects.create(name=name, at=at, well=True, place="x")
    prune()
    assert list(SignIn.objects.values_list("ended", flat=True)) == [None]
    assert sorted(ApiKey.objects.values_list("prefix", flat=True)) == ["a", "d"]
    assert list(IdempotentCall.objects.values_list("key", flat=True)) == ["new"]
    assert list(Alert.objects.values_list("message", flat=True)) == ["open"]
    assert list(Backup.objects.values_list("name", flat=True)) == ["second"]


def test_of_comparisons_the_newest_and_those_that_found_something_stay_and_of_locks_what_still_holds():
    account = demo().account
    old = timezone.now() - A_YEAR - A_YEAR
    Reconciliation.objects.all().delete()
    for step, (agreed, mended) in enumerate([(True, []), (True, ["a fill"]), (False, []), (True, []), (True, [])]):
        Reconciliation.objects.create(
            account=account, at=old + timedelta(hours=step), trigger=str(step), agreed=agreed, mended=mended
        )
    Lock.objects.all().delete()
    for reason, lifted, until in (("holds", None, None), ("lifted", old, None), ("over", None, old)):
        Lock.objects.create(account=account, reason=reason, since=old, lifted=lifted, until=until)
    prune()
    assert sorted(Reconciliation.objects.values_list("trigger", flat=True)) == ["1", "2", "4"]
    assert list(Lock.objects.values_list("reason", flat=True)) == ["holds"]


def test_counters_of_asking_go_when_they_say_nothing_any_more():
    made = demo(cycles=1)
    for model in (AskBucket, AskPlace, SpendDay):
        model.objects.all().delete()
    now = timezone.now().timestamp()
    for name, at in (("old", now - 90_000), ("new", now)):
        AskBucket.objects.create(key=name, tokens=1, at=at)
        AskPlace.objects.create(provider="x", holder=name, until=at)
    today = timezone.now().date()
    SpendDay.objects.create(bot=made.bot, day=today)
    SpendDay.objects.create(bot=made.bot, day=today - timedelta(days=11))
    prune()
    assert [row.key for row in AskBucket.objects.all()] == [row.holder for row in AskPlace.objects.all()] == ["new"]
    assert SpendDay.objects.get().day == today


def test_a_curve_that_was_thinned_gives_the_same_days_and_is_not_looked_at_again(settings):
    settings.EQUITY_POINT_DAYS = 1
    made = demo(equity_points=4_000)
    EquityPoint.objects.filter(pk__gte=EquityPoint.objects.order_by("at")[1_000].pk).update(transfers=Decimal(50))
    performance_rebuild(made.account)
    columns = ("day", "equity_first", "equity_last", "equity_lowest", "equity_highest", "transfers")
    days = list(PerformanceDay.objects.filter(bot=None).values_list(*columns))
    expected = next(one["rows"] for one in told("--dry-run", "--only", "trading.EquityPoint"))
    assert EquityPoint.objects.count() == 4_001
    gone = {one.rule.table: one.rows for one in prune()}["trading.EquityPoint"]
    assert gone == expected > 1_500
    assert EquityPoint.objects.count() == 4_001 - gone
    assert performance_rebuild(made.account).differences == []
    assert list(PerformanceDay.objects.filter(bot=None).values_list(*columns)) == days
    assert {one.rule.table: one.rows for one in prune()}["trading.EquityPoint"] == 0


def test_a_run_that_is_cut_off_goes_on_where_it_was(monkeypatch):
    user = demo(cycles=1).user
    old = timezone.now() - A_YEAR - A_YEAR
    SignIn.objects.bulk_create([SignIn(user=user, kind="session", ended=old) for _ in range(25)])
    monkeypatch.setattr(retention, "BATCH", 10)
    rule = next(rule for rule in ALL_RULES if rule.table == "accounts.SignIn")
    batches = rule.batches()
    assert next(batches) == 10
    batches.close()
    assert SignIn.objects.count() == 15
    [one] = retention.rules_carried_out([rule], seconds=60)
    assert (one.rows, one.ended, SignIn.objects.count()) == (15, True, 0)


def test_when_the_time_is_up_nothing_new_is_begun(monkeypatch):
    user = demo(cycles=1).user
    SignIn.objects.create(user=user, kind="session", ended=timezone.now() - A_YEAR)
    assert {one.ended for one in retention.rules_carried_out(ALL_RULES, seconds=0)} == {False}
    assert SignIn.objects.count() == 1


def test_a_table_that_is_locked_keeps_no_other_from_its_turn(monkeypatch):
    user = demo(cycles=1).user
    SignIn.objects.create(user=user, kind="session", ended=timezone.now() - A_YEAR)

    def locked():
        raise OperationalError("canceling statement due to lock timeout")
        yield

    rules = [replace(ALL_RULES[0], batches=locked), *ALL_RULES[1:]]
    monkeypatch.setattr("trading.services.retention.ALL_RULES", rules)
    with pytest.raises(OperationalError, match="lock timeout") as told:
        prune()
    assert ALL_RULES[0].table in str(told.value.__notes__)
    assert SignIn.objects.count() == 0


def test_the_command_counts_what_would_go_and_changes_nothing():
    user = demo(cycles=1).user
    SignIn.objects.create(user=user, kind="session", ended=timezone.now() - A_YEAR)
    lines = {line["table"]: line for line in told("--dry-run")}
    assert lines["accounts.SignIn"]["rows"] == 1
    assert lines["accounts.SignIn"]["after"] == "SIGN_IN_RETENTION_DAYS=180"
    assert SignIn.objects.count() == 1
    assert [line["rows"] for line in told("--only", "accounts.SignIn")] == [1]
    assert SignIn.objects.count() == 0
    with pytest.raises(CommandError, match=r"no rule for trading\.Order"):
        call_command("prune", "--only", "trading.Order")
    assert {line["table"] for line in told("--kept")} == set(KEPT)


def test_the_scheduler_does_it_once_a_day():
    from trading.services.periodic import SYSTEM

    app.loader.import_default_modules()
    task, seconds = SYSTEM["system:retention"]
    assert task in app.tasks
    assert seconds == 86_400
