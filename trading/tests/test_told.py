"""A model is told before it decides what bars entries, and until when; a decider without a prompt is not kept waiting."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from decisions.services import SEEDS
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import NOW, market
from trading.domain.risk import Standing
from trading.services.cycle import run_cycle
from trading.services.live import standing_of
from trading.services.standing import lock_put
from trading.tests.test_cycle import Scripted, desk_with
from trading.tests.test_execution import RUN

ARENA = (SEEDS / "arena.txt").read_text(encoding="utf-8")


def prompt_of(standing: Standing) -> str:
    decider = Scripted(wants_prompt=True)
    run_cycle(desk_with(decider).world, replace(RUN, standing=standing, template=ARENA))
    (question,) = decider.questions
    assert question.prompt is not None
    return question.prompt.user


def test_a_lock_of_all_symbols_stands_in_the_prompt_with_its_rule():
    text = prompt_of(Standing(blocked={"": "the day lost 3.20 %, 3 % are allowed"}))
    told = 'Entries are barred now: "standing.blocked (BTCUSDT): Entries on BTCUSDT are blocked: the day lost 3.20 %'
    assert told in text


def test_where_nothing_bars_nothing_is_said():
    assert "Entries are barred" not in prompt_of(Standing())


@pytest.mark.django_db
def test_a_lock_that_ends_by_itself_says_when():
    market(NOW)
    bot = bot_of(account_of(person()))
    until = datetime.now(UTC) + timedelta(hours=4)
    lock_put(account=bot.account, symbol="BTCUSDT", reason="Two stops in a row.", until=until)
    lock_put(account=bot.account, symbol="", reason="A person looks at it.")
    blocked = standing_of(bot.account, bot).blocked
    assert blocked["BTCUSDT"] == f"Two stops in a row, until {until:%Y-%m-%d %H:%M} UTC"
    assert blocked[""] == "A person looks at it."
