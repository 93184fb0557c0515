"""One question on its way down the ladder: request after request inside one deadline, until a reply can be used.

Which request comes next is `decisions.domain.ladder`'s to say; here it is made, paid for and written down.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

from decisions.deciders.base import Answer, Outcome, Prompt, Question, Reading, Usage
from decisions.deciders.ports import BudgetUsed, Purse, Reservation
from decisions.domain.dialects import body_of, said_besides
from decisions.domain.envelope import Facts, Fault, facts_of, fault_of, open_envelope
from decisions.domain.gate import gate_fault, read_reply
from decisions.domain.ladder import NOT_SPENT, Move, Room, Rung, Seen, code_of, next_step, seen_fault
from decisions.domain.money import Price, cost_of, tokens_of
from decisions.domain.question import Asking, Attempt
from decisions.domain.schema import response_schema
from decisions.domain.strict_json import Unreadable
from decisions.llm.client import Later, Received, send
from decisions.llm.endpoints import Endpoint
from decisions.llm.formats import format_learned, formats_of
from decisions.llm.reply_cache import kept_reply, reply_keep
from decisions.llm.turns import NoTurn
from vibex.lib.clock import Deadline

NOT_IN_A_CODE: Final = re.compile(r"[^a-z0-9_.]")
REFUSED: Final = range(400, 600)

type TakeTurn = Callable[[Endpoint, str, Deadline], AbstractContextManager[None]]
"""Waits until a model may be asked, at most until the deadline. Raises NoTurn."""


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a chain, with what is known of it before anybody is asked."""

    name: str
    """As a bot names it."""
    model: str
    """As its provider names it."""
    endpoint: Endpoint | None = None
    """None: it cannot be asked, for the reason in `fault`."""
    fault: str = ""
    also: tuple[str, ...] = ()
    """Names, besides its own, under which it may answer."""
    price: Price | None = None
    usual_seconds: float = 0.0
    """0: nobody knows."""


@dataclass(slots=True)
class Climb:
    """The requests that were made for one question so far, and what may still be tried."""

    chain: tuple[Link, ...]
    asking: Asking
    purse: Purse
    question: Question
    prompt: Prompt
    deadline: Deadline
    turn: TakeTurn
    attempts: list[Attempt] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    """Model and reason of every request that was of no use, and of every one that could not be made."""
    given_up: set[tuple[str, str]] = field(default_factory=set)
    """Servers with the keys that they take no request with, whatever the model."""
    reask: bool = True
    broke: bool = False
    """Was the last thing that happened the end of the day's money?"""

    def answer(self) -> Answer:
        """Return the first usable reply, or why there is none."""
        for link in self.chain:
            if link.endpoint is None:
                self.told.append((link.model, link.fault))
                continue
            if _account_of(link.endpoint) in self.given_up:
                continue
            if self.told and self.deadline.passed():
                break
            match self._tried(link, link.endpoint):
                case Move.USE | Move.STOP:
                    break
                case Move.NEXT_PROVIDER | Move.NEXT_KEY:
                    self.given_up.add(_account_of(link.endpoint))
        return self._together()

    def _tried(self, link: Link, endpoint: Endpoint) -> Move:
        """Ask one model until it gives a usable reply or nothing more can be tried with it; return what comes next."""
        rungs, prompt, again = list(formats_of(endpoint, link.model)), self.prompt, True
        while True:
            try:
                seen = self._request(link, endpoint, rungs[0], prompt)
            except NoTurn as busy:
                self.told.append((link.model, str(busy)))
                return Move.NEXT_MODEL
            except BudgetUsed as used:
                self.told.append((link.model, _coded("budget", str(used))))
                self.broke = True
                return Move.STOP
            if seen.status is not None and seen.status not in REFUSED:
                format_learned(endpoint, link.model, rungs[0])
            step = next_step(seen, self._room(link, below=len(rungs) > 1, again=again))
            if step.move not in GO_ON:
                return step.move
            if self.deadline.passed():
                return Move.STOP
            if step.move is Move.NEXT_RUNG:
                rungs.pop(0)
            elif step.move is Move.WITHOUT_OUTSIDE and self.question.prompt_without_outside is not None:
                self.prompt = prompt = self.question.prompt_without_outside
            elif step.move is Move.REASK:
                self.reask, prompt = False, with_reason(prompt, seen.code)
            else:
                again = False
                time.sleep(step.wait)

    def _room(self, link: Link, *, below: bool, again: bool) -> Room:
        return Room(
            left=self.deadline.left(),
            whole=self.deadline.seconds,
            usual=link.usual_seconds,
            rungs_below=below,
            again=again,
            reask=self.reask,
            outside=self.question.prompt_without_outside not in (None, self.prompt),
        )

    def _request(self, link: Link, endpoint: Endpoint, rung: Rung, prompt: Prompt) -> Seen:
        """Make one request, when it is its turn and there is money, and keep what came of it. Raises NoTurn, BudgetUsed."""
        schema = response_schema(self.question.bot.symbols)
        body = body_of(endpoint.dialect, model=link.model, prompt=prompt, asking=self.asking, schema=schema, rung=rung)
        plan = _Plan(link, endpoint, prompt, self.question, said_besides(self.asking, rung))
        if (kept := kept_reply(endpoint.base_url, body, self.question.decision_id)) is not None:
            return self._noted(*plan.judged_from_cache(kept))
        with self.turn(endpoint, link.model, self.deadline):
            guess = tokens_of(prompt)
            cost = cost_of(link.price, guess, self.asking.max_tokens)
            reservation = self.purse.reserve(cost=cost, tokens=guess + self.asking.max_tokens)
            try:
                received = send(endpoint, body, seconds=self.deadline.left())
                attempt, seen = plan.judged(received, reservation)
            except BaseException:
                self.purse.settle(reservation, cost=None, tokens=reservation.tokens)
                raise
        settle(self.purse, reservation, attempt)
        if received.later is not None:
            attempt = replace(attempt, late=LateReply(received.later, plan, reservation, self.purse))
        if attempt.outcome is Outcome.ANSWERED:
            reply_keep(endpoint.base_url, body, self.question.decision_id, received.raw)
        return self._noted(attempt, seen)

    def _noted(self, attempt: Attempt, seen: Seen) -> Seen:
        self.attempts.append(attempt)
        if attempt.reason:
            self.told.append((attempt.model, attempt.reason))
        return seen

    def _together(self) -> Answer:
        """Return the last reply with the tokens, the money and the time of all, and what went wrong on the way."""
        if not self.attempts:
            outcome = Outcome.NOT_ASKED if self.broke else Outcome.NO_ANSWER
            return Answer(outcome, model_requested=self.chain[0].model, reason=self._why())
        last = self.attempts[-1]
        return Answer(
            last.outcome,
            raw=last.raw,
            text=_text_of(last),
            model_requested=last.model,
            model_served=last.model_served,
            finish_reason=last.finish_reason,
            usage=_sum_of([attempt.usage for attempt in self.attempts]),
            latency=self.deadline.seconds - self.deadline.left(),
            reason=self._why(),
            attempts=tuple(self.attempts),
        )

    def _why(self) -> str:
        """Return what went wrong: for an answer in order, else first why the last request gave none, or why none was made."""
        if not self.told:
            return ""
        told = [f"{model}: {reason}" for model, reason in self.told]
        if self.attempts and self.attempts[-1].outcome is Outcome.ANSWERED:
            return "; ".join(dict.fromkeys(told))
        last = len(told) - 1
        if self.attempts and not self.broke:
            last = max(place for place, (_, reason) in enumerate(self.told) if reason == self.attempts[-1].reason)
        others = dict.fromkeys(line for line in told if line != told[last])
        return "; besides, ".join(filter(None, (self.told[last][1], "; ".join(others))))


GO_ON: Final = frozenset({Move.NEXT_RUNG, Move.AGAIN, Move.WAIT, Move.WITHOUT_OUTSIDE, Move.REASK})


@dataclass(frozen=True, slots=True)
class _Plan:
    """A request as it was made: what is needed to say what came of it."""

    link: Link
    endpoint: Endpoint
    prompt: Prompt
    question: Question
    parameters: dict[str, object]

    def judged(self, received: Received, reservation: Reservation) -> tuple[Attempt, Seen]:
        """Return what came back as it is kept, and as the ladder sees it."""
        if received.later is not None:  # what came so far says nothing yet: all of it is booked when it is whole
            attempt = self._attempt(received, Outcome.NO_ANSWER, received.fault, Facts())
            return replace(attempt, estimate=reservation.cost), Seen()
        try:
            facts, fault = facts_of(received.raw), fault_of(received.raw)
        except Exception as unforeseen:  # noqa: BLE001
            # As in the gate: whatever a body does to the code that reads it, the bot holds.
            return self._unforeseen(received, reservation, gate_fault(unforeseen))
        seen, outcome, reason = self._read(received, facts, fault)
        attempt = self._attempt(received, outcome, reason, facts)
        return replace(attempt, estimate=estimate_of(received, facts, seen, self.link.price, reservation)), seen

    def judged_from_cache(self, raw: bytes) -> tuple[Attempt, Seen]:
        """Return a reply that was kept: it cost nothing now."""
        attempt, seen = self.judged(Received(raw, 200), Reservation("", Decimal(0), 0))
        parameters = {**attempt.parameters, "cached": True}
        return replace(attempt, usage=Usage(cost=Decimal(0)), estimate=None, parameters=parameters), seen

    def _read(self, received: Received, facts: Facts, fault: Fault | None) -> tuple[Seen, Outcome, str]:
        hints: dict[str, Any] = {"retry_after": received.retry_after, "should_retry": received.should_retry}
        if received.fault:
            return Seen(), Outcome.NO_ANSWER, received.fault
        status = received.status or 0
        if not 200 <= status < 300:
            words = " ".join(fault.kinds) if fault else ""
            text = f"http.{status}: {self.endpoint.host} answered {status} {words}".strip()
            return seen_fault(fault, status=status, **hints), Outcome.NO_ANSWER, text
        reading = self._reading(received.raw)
        if reading.outcome is Outcome.ANSWERED:
            return Seen(status=200), reading.outcome, ""
        seen = seen_fault(fault, status=200, code=code_of(reading.reason), **hints)
        return replace(seen, finish_reason=facts.finish_reason), reading.outcome, reading.reason

    def _reading(self, raw: bytes) -> Reading:
        return read_reply(raw, self.question, model=self.link.model, also=self.link.also)

    def _attempt(self, received: Received, outcome: Outcome, reason: str, facts: Facts) -> Attempt:
        return Attempt(
            provider=self.endpoint.provider,
            model=self.link.model,
            prompt=self.prompt,
            outcome=outcome,
            reason=reason,
            raw=received.raw,
            http_status=received.status,
            model_served=facts.model_served,
            finish_reason=facts.finish_reason,
            generation_id=received.headers.get("x-generation-id", "") or facts.generation_id,
            reasoning=facts.reasoning,
            usage=facts.usage,
            latency=received.seconds,
            parameters=self.parameters,
        )

    def _unforeseen(self, received: Received, reservation: Reservation, reason: str) -> tuple[Attempt, Seen]:
        attempt = self._attempt(received, Outcome.REJECTED, reason, Facts())
        return replace(attempt, estimate=reservation.cost), Seen(code_of(reason), 200)


@dataclass(frozen=True, slots=True)
class LateReply:
    """A request that was given up at its deadline. What comes of it is paid for and written down, never acted on."""

    later: Later
    plan: _Plan
    reservation: Reservation
    purse: Purse

    def when_answered(self, book: Callable[[Attempt], None]) -> None:
        """Call `book` with the reply, from a thread of its own, when it comes within a minute."""
        self.later.then(lambda received: self._booked(received, book))

    def _booked(self, received: Received, book: Callable[[Attempt], None]) -> None:
        attempt, _ = self.plan.judged(received, self.reservation)
        reason = "late: the answer came after the deadline and is not used"
        late = replace(attempt, outcome=Outcome.NO_ANSWER, reason=reason)
        try:
            settle(self.purse, self.reservation, late)
        finally:
            book(late)


def settle(purse: Purse, reservation: Reservation, attempt: Attempt) -> None:
    """Book what a request used in the place of what was set aside for it."""
    used = attempt.usage.prompt_tokens + attempt.usage.completion_tokens
    cost = attempt.usage.cost if attempt.usage.cost is not None else attempt.estimate
    if cost is None:
        purse.settle(reservation, cost=Decimal(0), tokens=used)
    elif cost == reservation.cost and not used:
        purse.settle(reservation, cost=None, tokens=reservation.tokens)
    else:
        purse.settle(reservation, cost=cost, tokens=used or reservation.tokens)


def estimate_of(
    received: Received, facts: Facts, seen: Seen, price: Price | None, reservation: Reservation
) -> Decimal | None:
    """Return what a request counts as while nobody said its cost; None where the cost is said or nothing was spent."""
    usage = facts.usage
    if usage.cost is not None:
        return None
    if usage.prompt_tokens and price is not None:
        return cost_of(price, usage.prompt_tokens, usage.completion_tokens)
    refused = not usage.prompt_tokens and seen.status in NOT_SPENT
    return None if refused or not received.sent else reservation.cost


def _account_of(endpoint: Endpoint) -> tuple[str, str]:
    """Return what a provider knows us by: two keys at one server have two accounts."""
    return endpoint.base_url, endpoint.key


def with_reason(prompt: Prompt, code: str) -> Prompt:
    """Return the prompt with the reason why its last reply could not be used. The reply itself is not repeated."""
    reason = NOT_IN_A_CODE.sub("", code.lower())[:60]
    user = (
        f"{prompt.user}\n\nThe last reply to this question could not be used (reason code: {reason}). "
        "Answer it again with one complete JSON object as described above, and nothing else."
    )
    digest = sha256("\0".join((prompt.template, prompt.system, user)).encode()).hexdigest()
    return replace(prompt, user=user, digest=digest)


def _coded(code: str, text: str) -> str:
    return text if text.startswith(f"{code}:") else f"{code}: {text}"


def _text_of(attempt: Attempt) -> str | None:
    if code_of(attempt.reason).startswith("envelope."):
        return None
    try:
        return open_envelope(attempt.raw, model=attempt.model, also=(attempt.model_served,)).text
    except Unreadable:
        return None


def _sum_of(usages: list[Usage]) -> Usage:
    """Return all tokens, and all costs that were said; None where nobody said any."""
    costs = [usage.cost for usage in usages if usage.cost is not None]
    return Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(costs, Decimal(0)) if costs else None,
        sum(usage.reasoning_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
    )
