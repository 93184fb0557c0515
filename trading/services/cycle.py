"""One cycle: the nine steps from snapshot to publication, the same for live, paper and backtest.

Only the five ports of `World` differ. Errors of the world end a cycle with a reason; protection stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from decisions.deciders.base import Answer, Outcome, Question, Reading, needs_prompt
from decisions.domain.portfolio import Portfolio
from decisions.domain.proposal import Proposal, Ruling
from marketdata.domain.assess import Problem, depth_problem, quote_problem
from marketdata.domain.snapshot import MarketSnapshot, SymbolView
from trading.domain.approval import entries_of, rule_again
from trading.domain.risk import Standing, rule_all
from trading.domain.venue import AccountState
from trading.services.comparing import Rule, shadows_compared, shadows_unruled
from trading.services.diary import lines_of
from trading.services.execution import Done, execute
from trading.services.journal.base import Journal, Stage
from trading.services.ledger import book_income
from trading.services.losses import losses_check
from trading.services.portfolio import portfolio_of
from trading.services.question import question_for, worded
from trading.services.settle import Settled, settle
from trading.services.world import Run, World
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected, Retryable
from vibex.lib.records import record

NOTHING_TO_DECIDE = "no_data: every symbol holds because of its market data, and nothing is open on any of them"


@record()
class Scene:
    """What a bot decides in: the market, its account, and what else bears on its entries."""

    snapshot: MarketSnapshot
    portfolio: Portfolio
    standing: Standing


@record()
class Decided:
    """What was asked, answered, read and ruled; `live` is the market with the prices that were ruled on."""

    question: Question
    answer: Answer
    reading: Reading
    live: MarketSnapshot
    rulings: tuple[Ruling, ...]
    rule: Rule
    """What the proposals were ruled by: the same market, portfolio, limits and standing."""


@dataclass(slots=True)
class CycleResult:
    """What one cycle saw, decided, ruled and did."""

    snapshot: MarketSnapshot
    portfolio: Portfolio
    question: Question
    answer: Answer
    reading: Reading
    rulings: tuple[Ruling, ...]
    done: list[Done]
    state: AccountState
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds per step."""


def run_cycle(world: World, run: Run) -> CycleResult:
    """Run the nine steps. Raises Retryable when the market or the exchange does not answer, IntentVoid when overtaken."""
    timings: dict[str, float] = {}
    journal = world.journal
    with _step(journal, Stage.SNAPSHOT, timings):
        snapshot = world.market.snapshot(symbols=run.bot.symbols, timeframes=run.bot.timeframes, at=world.clock.now())
        journal.saw(snapshot)
    with _step(journal, Stage.PORTFOLIO, timings):
        settled = settle(world)
        journal.equity(settled.state)
        losses = losses_check(world, run.limits, settled.state)
        settled.see(losses.state)
        blocked = losses.barring({**run.standing.blocked, **settled.blocked})
        history = journal.history(at=snapshot.at)
        standing = Standing(state=run.standing.state, blocked=blocked, bot=run.standing.bot, history=history)
        portfolio = portfolio_of(settled.state, journal, starting_balance=run.starting_balance, at=snapshot.at)
    decided = decide(world, run, Scene(snapshot, portfolio, standing), timings)
    with shadows_compared(journal, decided.question, decided.answer, decided.reading, decided.rule):
        with _step(journal, Stage.EXECUTE, timings):
            waiting = _waiting(journal, run, decided.rulings)
            done = execute(world, run, decided.live, decided.rulings, waiting=waiting)
        with _step(journal, Stage.RECORD, timings):
            state = _after(world, settled, done)
            if state is not settled.state:
                journal.equity(state)
            journal.diary(lines_of(decided.live, decided.answer, decided.reading, decided.rulings, done))
        with _step(journal, Stage.PUBLISH, timings):
            journal.publish("cycle")
    return CycleResult(
        snapshot,
        portfolio,
        decided.question,
        decided.answer,
        decided.reading,
        decided.rulings,
        done,
        state,
        timings,
    )


def decide(world: World, run: Run, scene: Scene, timings: dict[str, float]) -> Decided:
    """Go from the prompt to the rulings, the deciding half of a cycle: nothing is sent to the exchange here.

    `timings` gets the milliseconds per step.
    """
    with _step(world.journal, Stage.PROMPT, timings):
        question, unasked = question_of(world, run, scene)
    return put(world, run, scene.standing, question, unasked, timings)


def put(
    world: World, run: Run, standing: Standing, question: Question, unasked: Answer | None, timings: dict[str, float]
) -> Decided:
    """Put a question, read what comes back and rule on it; `unasked` is the answer where nobody is asked.

    A dry run takes this way, with a journal that keeps only the model call.
    """
    journal, snapshot, portfolio = world.journal, question.snapshot, question.portfolio
    with _step(journal, Stage.ASK, timings):
        deadline = Deadline(run.deadline_seconds)
        answer = unasked or world.decider.ask(question, deadline)
    with shadows_unruled(journal, question, answer):
        with _step(journal, Stage.READ, timings):
            reading = _read(world, question, answer, late=deadline.passed())
            journal.asked(question, answer, reading)
        with _step(journal, Stage.RULE, timings):
            live = _with_live_prices(world, run, snapshot, reading.proposals)
            journal.keep(question, reading, standing, live)
            rule = partial(
                rule_all, snapshot=live, portfolio=portfolio, limits=run.limits, bot=run.bot, standing=standing
            )
            rulings = rule(reading.proposals) if run.approved is None else (rule_again(run.approved, rule),)
            journal.ruled(rulings, at=snapshot.at)
    return Decided(question, answer, reading, live, rulings, rule)


class _step:  # noqa: N801 - it is used like a function
    """Note the step that begins, and how many milliseconds it took, however it ended."""

    __slots__ = ("began", "stage", "timings")

    def __init__(self, journal: Journal, stage: Stage, timings: dict[str, float]) -> None:
        journal.stage(stage)
        self.stage, self.timings = stage, timings

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.timings[self.stage] = round((time.perf_counter() - self.began) * 1000, 3)


def question_of(world: World, run: Run, scene: Scene) -> tuple[Question, Answer | None]:
    """Return the question, and an answer of nothing when it is not put.

    Nobody is asked about symbols of which nothing is known and nothing is held, nor when the money of the day is used up.
    And a default text never takes the place of a template that is missing.
    """
    snapshot, portfolio, standing = scene.snapshot, scene.portfolio, scene.standing
    question = question_for(run, snapshot, portfolio)
    if run.approved is None and _nothing_to_decide(run, snapshot, portfolio):
        return question, Answer(Outcome.NOT_ASKED, model_requested=run.bot.model, reason=NOTHING_TO_DECIDE)
    if not world.decider.wants_prompt:
        return question, None
    if not needs_prompt(world.decider):  # models are only compared with rules that decide without any
        return _worded_if_it_can(question, run, standing), None
    if run.budget_used:
        return question, Answer(Outcome.NOT_ASKED, model_requested=run.bot.model, reason=run.budget_used)
    try:
        return worded(question, run, standing), None
    except Rejected as fault:
        world.journal.incident("prompt-template", str(fault))
        return question, Answer(Outcome.NO_ANSWER, model_requested=run.bot.model, reason=f"template: {fault}")


def _worded_if_it_can(question: Question, run: Run, standing: Standing) -> Question:
    """Return the question with its text; without it where there is no template: what decides does not read it."""
    try:
        return worded(question, run, standing)
    except Rejected:
        return question


def _nothing_to_decide(run: Run, snapshot: MarketSnapshot, portfolio: Portfolio) -> bool:
    """Tell whether every symbol holds for its data, and there is nothing on them that could be closed."""
    views = [snapshot.symbols.get(symbol) for symbol in run.bot.symbols]
    if not views or not all(view and view.problem for view in views):
        return False
    busy = {position.symbol for position in portfolio.positions} | {order.symbol for order in portfolio.orders}
    return busy.isdisjoint(run.bot.symbols)


def _read(world: World, question: Question, answer: Answer, *, late: bool) -> Reading:
    if answer.outcome is Outcome.NOT_ASKED:
        return Reading(Outcome.NOT_ASKED, reason=answer.reason)
    if late and answer.outcome is Outcome.ANSWERED:  # otherwise it says by itself why it is of no use
        return Reading(Outcome.NO_ANSWER, reason="late: the answer came after the deadline and is not used")
    return world.decider.read(question, answer)


def _waiting(journal: Journal, run: Run, rulings: Sequence[Ruling]) -> frozenset[int]:
    """Return the places of the rulings that are not carried out, for they are on record as waiting for a person."""
    entries = entries_of(rulings) if run.approval and run.approved is None else frozenset[int]()
    return entries if entries and journal.wait(entries, until=run.next_decision_at) else frozenset[int]()


def _after(world: World, settled: Settled, done: Sequence[Done]) -> AccountState:
    """Return the account as it is now. What went wrong is looked at again at once, not only by the guard."""
    if any(not deed.well for deed in done):
        return settle(world).state
    if not done:
        return settled.state
    book_income(world)
    return world.exchange.account()


def _with_live_prices(
    world: World, run: Run, snapshot: MarketSnapshot, proposals: Sequence[Proposal]
) -> MarketSnapshot:
    """Return the snapshot with the prices of now for what may be opened: an answer can take half a minute."""
    opened = {proposal.symbol for proposal in proposals if proposal.action.opens} & snapshot.symbols.keys()
    if not opened:
        return snapshot
    live = {name: _live(world, run, snapshot.symbols[name]) for name in opened}
    if all(view is snapshot.symbols[name] for name, view in live.items()):
        return snapshot  # not a price has changed
    return replace(snapshot, symbols={**snapshot.symbols, **live})


def _live(world: World, run: Run, view: SymbolView) -> SymbolView:
    now = world.clock.now()
    try:
        quote = world.market.quote(view.symbol, at=now)
    except (Retryable, Rejected) as fault:
        return _held(view, Problem("price.gone", f"no price to trade at: {fault}"))
    if quote != view.quote:
        view = replace(view, quote=quote)
    view = _held(view, quote_problem(quote, at=now, speed=world.clock.speed))
    return view if view.problem or not run.limits.min_depth else _with_book(world, view)


def _with_book(world: World, view: SymbolView) -> SymbolView:
    """Return the view with the order book that an entry would cross, where the market has any."""
    try:
        depth = world.market.depth(view.symbol, at=world.clock.now())
    except (Retryable, Rejected) as fault:
        return _held(view, Problem("book.depth", f"the order book could not be read: {fault}"))
    if depth is None:
        return view
    problem = depth_problem(depth, at=world.clock.now(), speed=world.clock.speed)
    return _held(view, problem) if problem else replace(view, depth=depth)


def _held(view: SymbolView, problem: Problem | None) -> SymbolView:
    """Return the view with this problem, unless it has one already."""
    if problem is None or view.problem:
        return view
    return replace(view, problem=problem.text, reason=problem.reason)
