"""Beat sends each bot's tick for the bot's own moment behind the close, and everything else at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery import current_app

from accounts.models import Bot
from trading.domain.schedule import offset_for
from trading.services.periodic import row_name, wait_of
from trading.services.schedule import bot_start
from trading.tests import schedule_house as house
from vibex.beat import Entry
from vibex.lib.clock import WallClock

pytestmark = pytest.mark.django_db
CLOSE = datetime(2025, 10, 1, 12, 3, tzinfo=UTC)
A_MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def bot() -> Bot:
    return bot_start(bot=house.bot(), actor=None)


def test_a_row_of_a_bot_waits_for_what_is_left_of_its_offset(bot: Bot) -> None:
    row, offset = house.row_of(bot), offset_for(row_name(bot), bot.interval)
    assert offset > timedelta(0)
    assert wait_of(row, CLOSE) == pytest.approx(offset.total_seconds())
    assert wait_of(row, CLOSE + offset / 2) == pytest.approx(offset.total_seconds() / 2)
    assert wait_of(row, CLOSE + offset) == 0
    assert wait_of(row, CLOSE + offset + A_MOMENT) == 0, "what is late is not made later"


def test_what_is_no_bot_waits_for_nothing(bot: Bot) -> None:
    row = house.row_of(bot)
    row.name = "system:guard"
    assert wait_of(row, CLOSE) == 0


def test_a_row_of_a_replay_waits_for_nothing() -> None:
    """Its ticks look at a clock of its own, twice for each candle."""
    house.market("recorded", speed=60.0)
    replayed = bot_start(bot=house.bot(house.account("replay", "recorded"), interval="1h"), actor=None)
    assert wait_of(house.row_of(replayed), CLOSE) == 0


def test_what_beat_sends_carries_the_wait(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    offset = offset_for(row_name(bot), bot.interval)
    monkeypatch.setattr(WallClock, "now", lambda _: CLOSE)
    assert Entry(house.row_of(bot), current_app).options["countdown"] == pytest.approx(offset.total_seconds())
    monkeypatch.setattr(WallClock, "now", lambda _: CLOSE + offset)
    assert "countdown" not in Entry(house.row_of(bot), current_app).options
