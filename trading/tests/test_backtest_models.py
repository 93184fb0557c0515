"""Models in a backtest: asked as live, asked once, repeated without choosing, and ended by money with a clear word."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from accounts.models import Bot
from decisions.deciders.allowance import Allowance
from decisions.deciders.once import MoneyUsed
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.models import CatalogueModel, Cycle, Decision, DiaryEntry, PromptTemplate
from decisions.selectors import feedback_for
from decisions.selectors.cutoff import cutoff_of
from decisions.services.recording import decisions_record
from decisions.services.replies_kept import RepliesKept
from decisions.tests.llm_server import model_server, sends
from marketdata.recorded_market import RecordedMarket
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import NOW
from tests.support.demo_market import market as demo_market
from trading.services.backtest.asks import decision_id_of
from trading.services.backtest.deciders import Asked, decider_of, worded_plan
from trading.services.backtest.feedback import feedback_of
from trading.services.backtest.repeats import repeats_run
from trading.services.backtest.run import backtest_run
from trading.services.backtest.runs import ModelRun, Unfinished, runs_of
from trading.tests.models_kit import HOURS, SYMBOL, begins, day_plan, first, market, now_and_then, thinking
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
MODEL = "local/mind/one"


@pytest.fixture(autouse=True)
def _alone(settings):
    settings.LLM_REQUESTS_PER_MINUTE = 1_000_000
    yield
    client.close()
    formats_forget()


def asked_in(folder, most=None):
    return Asked(RepliesKept(folder), Allowance(most))


def on_market():
    return RecordedMarket([market()], timeframes=("1h", "4h"))


def run_once(plan, asked) -> ModelRun | Unfinished:
    return runs_of([worded_plan(plan)], on_market, asked)[0]


def points(run: ModelRun):
    return [(point.at, point.wallet, point.unrealised) for point in run.backtest.journal.points]


@pytest.fixture
def mind(settings):
    with thinking() as model:
        settings.LLM_BASE_URL = model.address
        yield model


def test_every_moment_is_asked_once_for_ever(tmp_path, mind):
    first = run_once(day_plan(MODEL), asked_in(tmp_path))
    assert (mind.asked, first.tally.asked, first.tally.found) == (HOURS, HOURS, 0)
    assert len(first.backtest.journal.closed) >= 2
    again = run_once(day_plan(MODEL), asked_in(tmp_path))
    assert (mind.asked, again.tally.asked, again.tally.found) == (HOURS, 0, HOURS)
    assert points(again) == points(first)
    assert first.cost == again.cost == HOURS * Decimal("0.002")
    assert first.tally.paid == again.tally.worth == first.cost
    assert again.tally.paid == 0
    assert again.backtest.journal.rulings == first.backtest.journal.rulings


def test_the_prompt_is_that_of_a_bot_with_what_became_of_its_decisions(tmp_path, mind):
    run = run_once(day_plan(MODEL), asked_in(tmp_path))
    before, after = mind.prompts[1], mind.prompts[2]
    assert "## WHAT BECAME OF YOUR LAST DECISIONS\nnothing yet" in before
    told = f"- {begins() + timedelta(hours=1):%Y-%m-%d %H:%M} UTC {SYMBOL} buy_to_enter: accepted"
    assert told in after
    assert "outcome: " in after
    assert "were asked 2 times before" in after
    assert f'decision_id: "{decision_id_of(begins())}"' in mind.prompts[0]
    kept = {said.prompt.system for said in run.backtest.journal.said}
    assert len(kept) == 1


def test_a_stored_template_goes_before_that_of_the_house(tmp_path, mind):
    text = worded_plan(day_plan(MODEL)).asks.template
    PromptTemplate.objects.all().delete()
    assert worded_plan(day_plan(MODEL)).asks.template == text
    PromptTemplate.objects.create(name="arena", version=1, text=text.replace("# Your answer", "# My answer"))
    assert "# My answer" in worded_plan(day_plan(MODEL)).asks.template
    with pytest.raises(Rejected, match="no prompt template arena with version 9"):
        worded_plan(day_plan(MODEL), version=9)


def test_feedback_is_the_same_as_a_bot_gets_from_the_tables(tmp_path, settings):
    def refused_often(prompt, times):
        return "buy" if first(prompt) % 8 in (3, 4) else now_and_then(prompt, times)

    with thinking(refused_often) as model:
        settings.LLM_BASE_URL = model.address
        journal = run_once(day_plan(MODEL), asked_in(tmp_path)).backtest.journal
    demo_market(NOW)
    bot = bot_of(account_of(person()))
    for said in journal.said:
        cycle = Cycle.objects.create(
            bot=bot, account=bot.account, scheduled_for=said.at, lease_until=said.at, status="done"
        )
        ruled = journal.rulings[said.first : said.first + len(said.reading.proposals)]
        decisions_record(cycle=cycle, interaction=None, rulings=ruled, at=said.at)
        DiaryEntry.objects.bulk_create(
            DiaryEntry(bot=bot, cycle=cycle, at=line.at, kind=line.kind, symbol=line.symbol, text=line.text)
            for line in journal.lines
            if line.at == said.at
        )
    ours, theirs = feedback_of(journal), feedback_for(bot)
    assert ours == theirs
    assert len(ours) > 3
    assert any("outcome" in reason for item in ours for reason in item.reasons)
    assert any(item.times > 1 for item in ours)


def test_money_that_is_used_up_ends_the_run_and_the_next_one_goes_on(tmp_path, mind):
    ended = run_once(day_plan(MODEL), asked_in(tmp_path, Decimal("0.05")))
    assert isinstance(ended, Unfinished)
    assert "of 0.05 US dollars are paid" in ended.why
    assert 0 < mind.asked < HOURS
    before = mind.asked
    more = run_once(day_plan(MODEL), asked_in(tmp_path, Decimal("10")))
    assert mind.asked == HOURS
    assert (more.tally.found, more.tally.asked) == (before, HOURS - before)
    plan = worded_plan(day_plan("local/mind/other"))
    decider = decider_of(plan, asked_in(tmp_path, Decimal("0.001")))
    with pytest.raises(MoneyUsed):
        backtest_run(plan=plan, market=on_market(), decider=decider)


def test_repeats_ask_anew_and_are_told_together(tmp_path, settings):
    def of_two_minds(prompt, times):
        # The same prompt the second time is answered by holding.
        return now_and_then(prompt, times) if not times else "hold"

    with thinking(of_two_minds) as model:
        settings.LLM_BASE_URL = model.address
        plan = worded_plan(day_plan(MODEL))
        found = repeats_run(plan=plan, market_of=on_market, times=2, asked=asked_in(tmp_path))
        assert model.asked > HOURS
        again = repeats_run(plan=plan, market_of=on_market, times=2, asked=asked_in(tmp_path))
    one, two = found.runs
    assert [run.plan.asks.repeat for run in found.runs] == [1, 2]
    assert points(one) != points(two)
    assert found.returned.mean == pytest.approx((one.returned + two.returned) / 2)
    assert found.returned.error == pytest.approx(abs(one.returned - two.returned) / 2)
    assert (found.returned.low, found.returned.high) == tuple(sorted((one.returned, two.returned)))
    differ = sum(one.acts[at].get(SYMBOL, "hold") != two.acts[at].get(SYMBOL, "hold") for at in one.acts)
    assert differ > 0
    assert (found.agreement.actions.part, found.agreement.actions.whole) == (HOURS - differ, HOURS)
    assert found.agreement.entries.whole > found.agreement.entries.part
    assert [points(run) for run in again.runs] == [points(run) for run in found.runs]
    assert sum(run.tally.asked for run in again.runs) == 0


def test_a_reply_of_no_use_holds_and_is_not_asked_twice(tmp_path, settings):
    with thinking(lambda prompt, times: "nonsense") as model:
        settings.LLM_BASE_URL = model.address
        run = run_once(day_plan(MODEL), asked_in(tmp_path))
        asked = model.asked
        again = run_once(day_plan(MODEL), asked_in(tmp_path))
        assert model.asked == asked
    assert run.useless == again.useless == HOURS
    assert run.backtest.journal.closed == []


def test_a_server_that_is_away_is_no_result(tmp_path, settings):
    with model_server(sends(b"{}", status=401)) as server:
        settings.LLM_BASE_URL = server.url
        ended = run_once(day_plan(MODEL), asked_in(tmp_path))
    assert isinstance(ended, Unfinished)
    assert f"{MODEL} gave no answer 5 times in a row" in ended.why
    assert not list(tmp_path.rglob("*.gz"))


def test_the_cache_of_developers_is_refused_for_it_answers_every_repeat_alike(tmp_path, mind, settings):
    settings.LLM_REPLY_CACHE = True
    with pytest.raises(Rejected, match="LLM_REPLY_CACHE is set"):
        decider_of(worded_plan(day_plan(MODEL)), asked_in(tmp_path))


def test_what_a_bot_said_then_is_said_again_and_what_is_missing_holds(tmp_path, mind):
    journal = run_once(day_plan(MODEL), asked_in(tmp_path)).backtest.journal
    demo_market(NOW)
    bot = bot_of(account_of(person()), model=MODEL)
    for number, said in enumerate(journal.said):
        status = Cycle.Status.FAILED if number == 20 else Cycle.Status.DONE
        late = timedelta(minutes=7) if number == 3 else timedelta(0)
        cycle = Cycle.objects.create(
            bot=bot, account=bot.account, scheduled_for=said.at + late, lease_until=said.at, status=status
        )
        ruled = journal.rulings[said.first : said.first + len(said.reading.proposals)]
        decisions_record(cycle=cycle, interaction=None, rulings=ruled, at=said.at)
    asked = mind.asked
    (run,) = runs_of([day_plan(f"replay/{bot.pk}")], on_market, asked_in(tmp_path))
    assert mind.asked == asked
    told = [point.equity for point in run.backtest.journal.points]
    assert told == [point.equity for point in journal.points]
    assert run.backtest.notes[-2:] == (
        f"{HOURS - 1} stored decisions were used as they were said",
        f"1 moments have no stored decision and were held, the first at {begins() + timedelta(hours=20):%F %H:%M}",
    )
    assert decider_of(day_plan("replay"), asked_in(tmp_path)).name == "replay"
    Decision.objects.all().delete()
    Cycle.objects.all().delete()
    with pytest.raises(Rejected, match="decided nothing from"):
        decider_of(day_plan(f"replay/{bot.account.name}/{bot.name}"), asked_in(tmp_path))
    bot_of(account_of(bot.account.owner, "second"), "second", status=Bot.Status.STOPPED)
    with pytest.raises(Rejected, match="2 bots are meant"):
        decider_of(day_plan("replay"), asked_in(tmp_path))


def test_until_when_a_model_knows_the_world_is_what_its_catalogue_says(settings):
    settings.LLM_BASE_URL = ""
    rows = [("openrouter", "x-ai/grok-4.3", date(2026, 1, 31)), ("openrouter", "x-ai/grok-4.7", None)]
    for provider, slug, cutoff in rows:
        CatalogueModel.objects.create(provider=provider, slug=slug, cutoff=cutoff)
    assert cutoff_of("openrouter/x-ai/grok-4.3") == date(2026, 1, 31)
    assert cutoff_of("openrouter/x-ai/grok-4.3:nitro") == date(2026, 1, 31)
    assert cutoff_of("xai/grok-4.3") == date(2026, 1, 31)  # its own server does not say
    assert cutoff_of("openrouter/x-ai/grok-4.7") is None
    assert cutoff_of("rules/trend") is None
