"""What people do to an account and to what is on it is found by the account, and by the bot where there is one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal as D
from pathlib import Path
from typing import Final

import pytest
from django.apps import apps
from django.db.models import ForeignKey

from accounts.models import Account, Alert, AuditEntry, Bot, User
from accounts.services import (
    account_change,
    account_create,
    audit_write,
    incident_open,
    incident_resolve,
    limits_change,
)
from accounts.services.accounts import account_delete
from accounts.services.audit import about
from accounts.services.bots import bot_change, bot_create, bot_delete
from accounts.services.credentials import credentials_delete, credentials_save
from accounts.services.promotion import account_promote, limits_confirm
from accounts.tests.test_credentials import V3
from decisions.models import Decision
from decisions.services.notes import note_write
from decisions.services.outside import outside_text_add, outside_text_end
from tests.support.demo import account_of, demo, person
from trading.models import Order, Position
from trading.services.approval import decision_reject
from trading.services.by_hand import order_cancel, position_close, position_stop_move, position_target_move
from trading.services.halt import account_halt
from trading.services.restored import restored_bar, restored_lift
from trading.services.resume import account_resume
from trading.services.schedule import bot_pause, bot_start, bot_stop
from trading.services.standing import account_reduce, lock_lift, lock_put
from trading.tests.approval_kit import BUY, NEXT, AskingHouse, asking_house, staff
from vibex.lib.env import ROOT

ELSEWHERE: Final = frozenset({"live-approve", "live-revoke"})
"""Acts on an account that take a record of weeks: `test_live_gate.py`."""
OF_NO_ACCOUNT: Final = frozenset(
    {
        "alert-channel-delete",
        "api-key-create",
        "api-key-revoke",
        "confirm",
        "password-reset-send",
        "person-export",
        "person-forget",
        "prompt-template-add",
        "refresh-token-reuse",
        "role-set",
        "second-factor-begin",
        "second-factor-off",
        "second-factor-on",
        "sign-in",
        "sign-in-end",
        "user-change",
        "user-create",
    }
)
"""Acts on people, on their ways in and on what everybody has."""


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> AskingHouse:
    made = asking_house(monkeypatch)
    limits = made.account.limits
    limits.cooldown_minutes = limits.min_hold_minutes = 0
    limits.save()
    return made


@pytest.mark.ci
@pytest.mark.django_db(transaction=True)
def test_every_act_on_an_account_names_it_and_its_bot(house: AskingHouse) -> None:
    AuditEntry.objects.all().delete()
    owner, boss, bot = house.owner, staff("boss@vibex.local", may=True), house.bot
    _on_orders(house, owner)
    _on_bots(bot, owner)
    of_bot = taken()
    assert keys_in(of_bot) == {(bot.account_id, bot.pk)}
    other = bot_create(
        account=bot.account, name="other", model="m/m", symbols=["BTCUSDT"], interval="3m", timeframes=["3m", "15m"]
    )
    gone = other.pk
    bot_delete(bot=other, actor=owner)
    of_other = taken()
    assert keys_in(of_other) == {(bot.account_id, gone)}
    _on_the_account(house, boss)
    of_account = taken()
    assert keys_in(of_account) == {(bot.account_id, None)}
    fresh = account_create(owner=owner, name="fresh", venue="aster", actor=owner)
    real = account_promote(paper=fresh, name="real", actor=owner)
    credentials_delete(credentials=credentials_save(account=real, keys=V3, actor=owner), actor=owner)
    keys = {(fresh.pk, None), (real.pk, None)}
    account_delete(account=real, actor=owner)
    of_others = taken()
    assert keys_in(of_others) == keys
    covered = {entry.action for entry in (*of_bot, *of_other, *of_account, *of_others)}
    assert set(_acts()) - covered == ELSEWHERE | OF_NO_ACCOUNT, "a new act: is its account named?"


def taken() -> list[AuditEntry]:
    """Return the trail, and begin it anew."""
    entries = list(AuditEntry.objects.all())
    AuditEntry.objects.all().delete()
    return entries


def keys_in(entries: list[AuditEntry]) -> set[tuple[int | None, int | None]]:
    return {(entry.account_id, entry.bot_id) for entry in entries}


def _on_orders(house: AskingHouse, owner: User) -> None:
    house.run(BUY)
    decision_reject(decision=house.asked(), actor=owner)
    house.run(BUY, at=NEXT)
    house.approve()
    held = Position.objects.get()
    position_stop_move(position=held, price=D(98_500), actor=owner)
    position_target_move(position=held, price=D(105_000), actor=owner)
    order_cancel(order=Order.objects.filter(role="target").latest("pk"), actor=owner)
    position_close(position=held, actor=owner)


def _on_bots(bot: Bot, owner: User) -> None:
    outside_text_end(text=outside_text_add(bot=bot, source="desk", text="noon", author=owner), actor=owner)
    note_write(bot=bot, author=owner, text="quiet until noon")
    bot_pause(bot=bot, actor=owner)
    bot_stop(bot=bot, actor=owner)
    bot_change(bot=bot, actor=owner, symbols=["ETHUSDT"])
    bot_start(bot=bot, actor=owner)


def _on_the_account(house: AskingHouse, boss: User) -> None:
    account = house.account
    account_change(account=account, actor=boss, time_zone="Asia/Tokyo")
    account.limits.max_positions = 1
    limits_change(limits=account.limits, actor=boss)
    limits_confirm(account=account, actor=boss)
    lock_lift(lock=lock_put(account=account, symbol="", reason="x"), actor=boss)
    incident_resolve(incident=incident_open(account=account, kind="x", text="x"), actor=boss)
    account_reduce(account=account, reason="x")
    account_halt(account=house.account, reason="x", actor=boss)
    account_resume(account=house.account, actor=boss, reason="x")
    restored_bar(name="vibex-abcd-20260101T000000Z", at=datetime.now(UTC))
    restored_lift(account=account)


def _acts() -> Iterator[str]:
    """Yield every act that the code writes by its name into the audit trail."""
    for app in ("accounts", "decisions", "marketdata", "trading"):
        for path in sorted((ROOT / app).rglob("*.py")):
            if "tests" not in path.parts:
                yield from _acts_in(path)


def _acts_in(path: Path) -> Iterator[str]:
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "audit_write":
            for given in call.keywords:
                if given.arg == "action" and isinstance(given.value, ast.Constant):
                    yield str(given.value.value)


@pytest.mark.ci
@pytest.mark.django_db
def test_every_row_that_names_its_account_or_bot_is_about_it() -> None:
    made, seen = demo(cycles=2, equity_points=2), 0
    for model in apps.get_models():
        of = {field.related_model: field.name for field in model._meta.fields if isinstance(field, ForeignKey)}
        row = model._default_manager.order_by("pk").last()
        if model in (Account, Alert) or row is None or not {Account, Bot} & of.keys():
            continue
        bot = row if isinstance(row, Bot) else getattr(row, of[Bot]) if Bot in of else None
        account = getattr(row, "account", None) or (bot.account if bot else None)
        assert about(row) == (account and account.pk, bot and bot.pk), model
        seen += 1
    assert seen >= 15
    assert about(made.account) == (made.account.pk, None)


@pytest.mark.django_db
def test_a_row_whose_bot_is_not_at_hand_takes_one_query_and_others_none(django_assert_num_queries) -> None:
    made = demo(cycles=1, equity_points=2)
    keys = made.account.pk, made.bot.pk
    with django_assert_num_queries(1):
        loaded = Decision.objects.filter(bot=made.bot).select_related("bot").latest("pk")
        assert about(loaded) == keys
    bare = Decision.objects.filter(bot=made.bot).latest("pk")
    with django_assert_num_queries(1):
        assert about(bare) == keys
    with django_assert_num_queries(0):
        assert about(made.bot) == keys


@pytest.mark.django_db
def test_what_somebody_does_with_their_copy_of_an_alert_is_not_on_the_account() -> None:
    account = account_of(person())
    alert = Alert.objects.create(
        user=person("staff@vibex.local"), account=account, type="halt", severity="info", subject="x", message="x"
    )
    entry = audit_write(actor=alert.user, action="odd", obj=alert)
    assert (entry.account_id, entry.bot_id) == (None, None)
