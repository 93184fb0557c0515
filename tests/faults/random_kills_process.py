"""Processes that trade and are killed at random moments, and fresh ones that go on. Run by test_random_kills.py.

The test exchange runs in this process, on a clock that runs, and survives them: what it has on record is what is judged.
Prints one JSON line per kill.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from random import Random
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import django

if TYPE_CHECKING:
    from trading.tests.live_kit import LiveHouse

PRICE: Final = 100_000.0
PATIENCE: Final = 45.0
"""Seconds after a start in which the guard looks again while a position is without its stop."""
WARM_UP: Final = 2


def main(seed: int, kills: int) -> None:
    django.setup()
    import pytest
    from django.utils import timezone

    from tests.faults.random_kills import PHASES
    from tests.support.tables import tables_made
    from trading.tests.live_kit import live_exchange, live_house

    tables_made()
    with (
        live_exchange(start=timezone.now()) as served,
        pytest.MonkeyPatch.context() as patch,
        live_house(patch, served=served, name="killed", sleep=time.sleep, deposit=D(100_000)) as house,
    ):
        lives = Lives(house, Random(seed))
        lives.begin(patch, PHASES)
        for number in range(kills):
            told = lives.killed(number, PHASES)
            print(json.dumps({"kill": number, "wanted": PHASES[number % len(PHASES)], **told}), flush=True)  # noqa: T201


@dataclass
class Life:
    """A process that trades, as the one that will kill it sees it."""

    pid: int
    pipe: IO[str]
    said: list[str] = field(default_factory=list)

    def hear(self) -> Iterator[str]:
        """Yield what it says, line by line, until it is gone."""
        for line in self.pipe:
            self.said.append(line.strip())

            yield self.said[-1]

    def kill(self) -> str:
        """Kill it and return in what it was killed."""
        os.kill(self.pid, signal.SIGKILL)
        list(self.hear())
        step, when, _ = self.said[-1].rsplit(" ", 2)
        return step if when == "begins" else "between"


@dataclass
class Lives:
    """One account at one exchange, and the processes that trade on it one after the other."""

    house: LiveHouse
    chance: Random
    spans: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """How many seconds each step took that was not broken off."""
    ahead: timedelta = timedelta(0)
    """By how much the exchange's clock is ahead of the wall's."""

    def begin(self, patch: Any, phases: tuple[str, ...]) -> None:
        """Let the clocks run, lift what would keep a bot from trading all day long, and see how long the steps take."""
        from accounts.models import RiskLimits, User
        from marketdata.models import VenueBudget
        from trading.services import exchanges, live
        from vibex.lib.clock import WallClock

        for module in (live, exchanges):
            patch.setattr(module, "market_clock", lambda venue: WallClock())
        often = {"opens_per_hour": 10_000, "opens_per_day": 10_000, "cooldown_minutes": 0, "losing_streak": 0}
        RiskLimits.objects.update(**often, daily_loss=D("0.5"), max_drawdown=D("0.9"))
        User.objects.update(is_superuser=True)  # who may resume
        control, host = self.house.served.control, urlsplit(self.house.served.http).netloc
        VenueBudget.objects.update_or_create(host=host, defaults={"minute": datetime.now(UTC), "limit": 10**7})
        control.go(1)
        self.ahead = control.now() - datetime.now(UTC)
        self._same_price()
        with self._living(list(phases) * WARM_UP) as life:
            list(life.hear())
        self._measure(life)

    def killed(self, number: int, phases: tuple[str, ...]) -> dict[str, Any]:
        """Kill a process in a phase, start another one, and tell what became of it."""
        wanted, before = phases[number % len(phases)], self.chance.choices(phases, k=self.chance.randint(0, 2))
        after, told = self.chance.random() * statistics.median(self.spans[wanted]), dict[str, Any]()
        try:
            self._same_price()
            with self._living([*before, wanted, *phases]) as life:
                left = [*before, wanted].count(wanted)
                for line in life.hear():
                    left -= line.startswith(f"{wanted} begins")
                    if not left:
                        break
                time.sleep(after)
                told["in"] = life.kill()
            self._measure(life)
            told |= self._go_on()
        except Exception:
            told["wrong"] = traceback.format_exc()
        return told

    def _go_on(self) -> dict[str, Any]:
        """Start a fresh process and judge by the exchange's record what it found and did."""
        from tests.faults.killed_process import in_child
        from tests.faults.random_kills import naked_after

        control, account, began = self.house.served.control, self.house.account.pk, time.monotonic()
        restarted, bare = control.now(), not self._safe()
        in_child(lambda: _start_again(account))
        took = time.monotonic() - began
        while not self._safe() and time.monotonic() - began < PATIENCE:
            time.sleep(1)
            in_child(lambda: _look(account))
        naked = naked_after(self.house.truth, restarted, control.now())
        held = str(self.house.held())
        self._judge()
        return {"bare": bare, "naked": naked, "took": took, "held": held}

    def _judge(self) -> None:
        """Everything that has to be true after a start, whatever was broken off."""
        from accounts.models import Account
        from tests.faults.killed_process import in_child
        from tests.faults.random_kills import entered_unasked, entered_while_halted, entries
        from trading.domain.orders import FINAL
        from trading.models import Order
        from trading.tests.live_kit import books_tie_out, nothing_hangs

        house, account = self.house, self.house.account
        assert self._safe(), f"{house.held()} with stops {house.stops()} after the start"
        halted, before = account.state == Account.State.HALTED, len(entries(house.truth))
        if halted:
            assert house.held() == 0, "halted, and not flat after the first look"
            bot = house.bot.pk
            in_child(lambda: _tries_to_enter(bot, account.pk))
            assert len(entries(house.truth)) == before, "an entry after a halt"
        if Order.objects.exclude(state__in=FINAL).exclude(state="live").exists():
            self._a_minute_passes()
            in_child(lambda: [_look(account.pk) for _ in range(3)] and None)
        assert entered_while_halted(house.truth, account, self.ahead) == []
        assert entered_unasked(house.truth, house.bot) == []
        assert house.sent_twice() == []
        books_tie_out(house)
        nothing_hangs(house)
        assert self._safe()

    def _safe(self) -> bool:
        """Protected by exactly one stop, or flat with no order left."""
        return len(self.house.stops()) == 1 if self.house.held() else not self.house.truth.working()

    def _a_minute_passes(self) -> None:
        """Let nothing that was sent be on its way any more."""
        from django.db.models import F

        from trading.domain.orders import ARRIVES_WITHIN
        from trading.models import Order

        past = ARRIVES_WITHIN + timedelta(seconds=1)
        Order.objects.exclude(state="done").update(sent_at=F("sent_at") - past, created=F("created") - past)

    def _same_price(self) -> None:
        self.house.served.control.set_price("BTCUSDT", last=PRICE, mark=PRICE)

    def _measure(self, life: Life) -> None:
        began: dict[str, float] = {}
        for line in life.said:
            step, when, at = line.rsplit(" ", 2)
            assert when != "off", line
            if when == "begins":
                began[step] = float(at)
            else:
                self.spans[step].append(float(at) - began[step])

    @contextmanager
    def _living(self, script: list[str]) -> Iterator[Life]:
        """Fork a process that lives by the script and says at which step it is."""
        from django.db import connections

        from trading.services.exchanges import exchanges_forget

        exchanges_forget()
        for connection in connections.all():
            connection.close()
            getattr(connection, "close_pool", lambda: None)()
        bot, account, seed = self.house.bot.pk, self.house.bot.account_id, self.chance.random()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _live(writing, script, bot, account, seed)
        os.close(writing)
        try:
            with os.fdopen(reading) as pipe:
                yield Life(pid, pipe)
        finally:
            os.waitpid(pid, 0)


def _live(writing: int, script: list[str], bot: int, account: int, seed: float) -> None:
    """Be the process: trade by the script and end."""
    from tests.faults.random_kills import Script

    def tell(line: str) -> None:
        os.write(writing, f"{line} {time.monotonic()}\n".encode())

    try:
        Script(bot, account, Random(seed), tell).run(script)
    except BaseException:
        traceback.print_exc()
        tell("it broke off")
    os._exit(0)


def _start_again(account: int) -> None:
    """Do what `up` does first, and what the guard's schedule does then."""
    from vibex.bootstrap import books_prepare

    books_prepare()
    _look(account)


def _look(account: int) -> None:
    from trading.services.guard import guard_run

    guard_run(account_id=account)


def _tries_to_enter(bot: int, account: int) -> None:
    from tests.faults.random_kills import Script

    Script(bot, account, Random(0), print).enter()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
