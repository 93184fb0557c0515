"""What follows a commit undoes nothing: a broker that is gone keeps nobody from starting a bot."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import transaction

from trading.services import schedule
from trading.tests.builders import make_bot
from vibex.lib.clock import WallClock
from vibex.lib.commits import after_commit


def broken(what: str) -> None:
    raise OSError(what)


@pytest.mark.django_db(transaction=True)
def test_what_breaks_after_a_commit_reaches_nobody() -> None:
    done: list[str] = []
    with transaction.atomic():
        after_commit(partial(broken, "the broker is gone"))
        after_commit(partial(done.append, "the next"))
    assert done == ["the next"]


@pytest.mark.django_db(transaction=True)
def test_a_bot_is_started_though_no_message_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    bot = make_bot("quiet", model="rules/hold")
    monkeypatch.setattr(schedule, "_undecided_and_fresh", lambda *_: True)
    monkeypatch.setattr(schedule, "market_clock", lambda _: WallClock())
    monkeypatch.setattr("celery.current_app.send_task", lambda *_, **__: broken("the broker is gone"))
    schedule.bot_start(bot=bot, actor=None, reason="a test")
    bot.refresh_from_db()
    assert bot.status == "running"
