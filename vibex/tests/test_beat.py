"""Beat sends each bot's tick for the bot's own moment behind the close, and does not grow slow with many of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from celery import current_app
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from accounts.models import Bot
from trading.domain.schedule import offset_for
from trading.services.periodic import row_name, wait_of
from trading.services.schedule import bot_start, bot_stop
from trading.tests import schedule_house as house
from vibex.beat import LOOK_SECONDS, Entry, Scheduler
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


@pytest.fixture
def bots() -> list[Bot]:
    """Return running bots whose candle has closed since they were looked at last."""
    names = ("first", "second", "third")
    made = [bot_start(bot=house.bot(house.account(name), name), actor=None) for name in names]
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=4))
    return made


class Beat:
    """A scheduler whose clock is moved by hand, and what it has sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent, self.now = list[str](), 1_000.0
        monkeypatch.setattr("vibex.beat.time.monotonic", lambda: self.now)
        monkeypatch.setattr(Scheduler, "apply_entry", lambda _, entry, **__: self.sent.append(entry.name))
        self.scheduler = Scheduler(app=current_app)

    def run(self) -> list[str]:
        """Send all that is due; return it."""
        self.sent.clear()
        while self.scheduler.tick() == 0:
            pass
        self.scheduler._dirty.clear()  # it would be written down when the interpreter ends, without a database
        return sorted(self.sent)

    @property
    def waiting(self) -> set[str]:
        return {event.entry.name for event in self.scheduler._heap}


@pytest.mark.django_db(transaction=True)
def test_it_asks_for_changes_once_a_second_however_much_is_due(
    bots: list[Bot], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Mock(wraps=PeriodicTasks.last_change)
    monkeypatch.setattr(PeriodicTasks, "last_change", asked)
    running = Beat(monkeypatch)
    assert running.run() == sorted(map(row_name, bots))
    assert asked.call_count == 1
    running.now += LOOK_SECONDS
    assert running.run() == []
    assert asked.call_count == 2


@pytest.mark.django_db(transaction=True)
def test_a_bot_that_was_stopped_is_laid_out_no_more(bots: list[Bot], monkeypatch: pytest.MonkeyPatch) -> None:
    running, (stopped, *others) = Beat(monkeypatch), bots
    running.run()
    assert running.waiting >= set(map(row_name, bots))
    running.now += LOOK_SECONDS
    running.run()  # now it knows when they were changed last
    bot_stop(bot=stopped, actor=None)
    running.now += LOOK_SECONDS
    running.run()
    assert running.waiting >= set(map(row_name, others))
    assert row_name(stopped) not in running.waiting
