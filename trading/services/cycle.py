"""One cycle: the nine steps from snapshot to publication, the same for live, paper and backtest.

Only the five ports of `World` differ. Errors of the world end a cycle with a reason; protection stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter_ns
from typing import Self

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
    with _Steps(journal, timings) as steps:
        steps.begin(Stage.SNAPSHOT)
        snapshot = world.market.snapshot(symbols=run.bot.symbols, timeframes=run.bot.timeframes, at=world.clock.now())
        journal.saw(snapshot)
        steps.begin(Stage.PORTFOLIO)
        settled = settle(world)
        journal.equity(settled.state)
        losses = losses_check(world, run.limits, settled.state)
        if losses.state is not settled.state:
            settled.see(losses.state)
        blocked = losses.barring({**run.standing.blocked, **settled.blocked})
        history = journal.history(at=snapshot.at)
        standing = Standing(run.standing.state, blocked, run.standing.bot, history)
        portfolio = portfolio_of(settled.state, journal, starting_balance=run.starting_balance, at=snapshot.at)
        decided = _decide(world, run, Scene(snapshot, portfolio, standing), steps)
        with shadows_compared(journal, decided.question, decided.answer, decided.reading, decided.rule):
            steps.begin(Stage.EXECUTE)
            waiting = _waiting(journal, run, decided.rulings)
            done = execute(world, run, decided.live, decided.rulings, waiting=waiting)
            steps.begin(Stage.RECORD)
            state = _after(world, settled, done)
            if state is not settled.state:
                journal.equity(state)
            journal.diary(lines_of(decided.live, decided.answer, decided.reading, decided.rulings, done))
            steps.begin(Stage.PUBLISH)
            journal.publish("cycle")
            steps.end()
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


def _decide(world: World, run: Run, scene: Scene, steps: _Steps) -> Decided:
    """Go from the prompt to the rulings, the deciding half of a cycle: nothing is sent to the exchange here."""
    steps.begin(Stage.PROMPT)
    question, unasked = question_of(world, run, scene)
    return _put(world, run, scene.standing, question, unasked, steps)


def put(
    world: World, run: Run, standing: Standing, question: Question, unasked: Answer | None, timings: dict[str, float]
) -> Decided:
    """Put a question, read what comes back and rule on it; `unasked` is the answer where nobody is asked.

    A dry run takes this way, with a journal that keeps only the model call. `timings` gets the milliseconds per step.
    """
    with _Steps(world.journal, timings) as steps:
        return _put(world, run, standing, question, unasked, steps)


def _put(
    world: World, run: Run, standing: Standing, question: Question, unasked: Answer | None, steps: _Steps
) -> Decided:
    journal, snapshot, portfolio = world.journal, question.snapshot, question.portfolio
    steps.begin(Stage.ASK)
    deadline = Deadline(run.deadline_seconds)
    answer = unasked or world.decider.ask(question, deadline)
    with shadows_unruled(journal, question, answer):
        steps.begin(Stage.READ)
        reading = _read(world, question, answer, late=deadline.passed())
        journal.asked(question, answer, reading)
        steps.begin(Stage.RULE)
        live = _with_live_prices(world, run, snapshot, reading.proposals)
        journal.keep(question, reading, standing, live)
        rule = partial(rule_all, snapshot=live, portfolio=portfolio, limits=run.limits, bot=run.bot, standing=standing)
        rulings = rule(reading.proposals) if run.approved is None else (rule_again(run.approved, rule),)
        journal.ruled(rulings, at=snapshot.at)
    return Decided(question, answer, reading, live, rulings, rule)


class _Steps:
    """Notes each step that begins, which ends the one before, and how many milliseconds it took, however it ended."""

    __slots__ = ("_began", "_journal", "_stage", "_timings")

    def __init__(self, journal: Journal, timings: dict[str, float]) -> None:
        self._journal, self._timings = journal, timings
        self._stage: Stage | None = None
        self._began = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self, stage: Stage) -> None:
        """End the step before this one."""
        before, now = self._stage, perf_counter_ns()
        if before is not None:
            self._timings[before] = (now - self._began) // 1000 / 1000
        self._stage = None  # none is under way when the journal says that this one may not begin
        self._journal.stage(stage)
        self._stage, self._began = stage, perf_counter_ns()

    def end(self) -> None:
        if self._stage is not None:
            self._timings[self._stage] = (perf_counter_ns() - self._began) // 1000 / 1000
            self._stage = None


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
    for deed in done:
        if not deed.well:
            return settle(world).state
    if not done:
        return settled.state
    book_income(world)
    return world.exchange.account()


def _with_live_prices(
    world: World, run: Run, snapshot: MarketSnapshot, proposals: Sequence[Proposal]
) -> MarketSnapshot:
    """Return the snapshot with the prices of now for what may be opened: an answer can take half a minute."""
    changed = dict[str, SymbolView]()
    for name in {proposal.symbol for proposal in proposals if proposal.action.opens}:
        view = snapshot.symbols.get(name)
        if view is not None and (live := _live(world, run, view)) is not view:
            changed[name] = live
    return replace(snapshot, symbols={**snapshot.symbols, **changed}) if changed else snapshot


def _live(world: World, run: Run, view: SymbolView) -> SymbolView:
    now = world.clock.now()
    try:
        quote = world.market.quote(view.symbol, at=now)
    except (Retryable, Rejected) as fault:
        return _held(view, Problem("price.gone", f"no price to trade at: {fault}"))
    if quote is not view.quote and quote != view.quote:
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
