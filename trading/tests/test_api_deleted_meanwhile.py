"""Somebody deletes an account while somebody else hangs a bot on it: one of them is told no, and nothing is half done."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from accounts.models import Account, Bot
from accounts.services import account_delete
from tests.support.demo import account_of, person
from tests.support.demo_market import NOW, market
from trading.services.bot_making import bot_make, bot_remove
from trading.services.schedule import bot_start
from vibex.lib.errors import Rejected

pytestmark = [pytest.mark.ci, pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
ROUNDS = 8


def at_once(*deeds: Callable[[], Any]) -> list[str]:
    """Return how each ended: `done`, or the code of its refusal. Anything else is an error."""
    together, ends = Barrier(len(deeds)), [""] * len(deeds)

    def run(place: int, deed: Callable[[], Any]) -> None:
        together.wait(5)
        try:
            deed()
            ends[place] = "done"
        except Rejected as refusal:
            ends[place] = refusal.code
        except Exception as fault:
            ends[place] = repr(fault)
        finally:
            connection.close()

    threads = [Thread(target=run, args=each) for each in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return ends


def test_an_account_is_deleted_or_gets_its_bot() -> None:
    market(NOW)
    owner = person()
    for number in range(ROUNDS):
        account = account_of(owner, f"a{number}")
        made, deleted = at_once(
            lambda account=account: bot_make(
                account=account, actor=owner, name="b", model="rules/trend", symbols=["BTCUSDT"]
            ),
            lambda account=account: account_delete(account=account, actor=owner),
        )
        assert (made, deleted) in {("done", "history"), ("invalid", "done")}
        there = Account.objects.filter(pk=account.pk).exists()
        assert there == Bot.objects.filter(account_id=account.pk).exists() == (made == "done")


def test_a_bot_is_deleted_or_started() -> None:
    market(NOW)
    owner = person()
    for number in range(ROUNDS):
        account = account_of(owner, f"a{number}")
        bot = bot_make(account=account, actor=owner, name="b", model="rules/trend", symbols=["BTCUSDT"]).bot
        seen = Bot.objects.select_related("account").get(pk=bot.pk)
        started, deleted = at_once(
            lambda seen=seen: bot_start(bot=seen, actor=owner), lambda bot=bot: bot_remove(bot=bot, actor=owner)
        )
        assert (started, deleted) in {("done", "running"), ("conflict", "done"), ("not-found", "done")}
        assert Bot.objects.filter(pk=bot.pk).exists() == (started == "done")
