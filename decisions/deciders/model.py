"""Models behind OpenRouter or any OpenAI-compatible server, asked in order until one gives a usable reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from decisions.deciders.base import Answer, Outcome, Prompt, Question, Reading, Usage
from decisions.deciders.ports import Known, Purse
from decisions.domain.envelope import open_envelope, peek
from decisions.domain.gate import gate_fault, read_reply
from decisions.domain.providers import split_name
from decisions.domain.question import Asking
from decisions.domain.schema import response_schema
from decisions.domain.strict_json import Unreadable
from decisions.llm.client import Call, NoReply, ask
from decisions.llm.endpoints import Endpoint, endpoint_of
from vibex.lib.clock import Deadline


@dataclass(frozen=True, slots=True)
class ModelDecider:
    """Asks `models` in order while the deadline allows. Every failure is an answer that holds."""

    models: tuple[str, ...]
    endpoint: Endpoint
    asking: Asking = field(default_factory=Asking)
    wants_prompt: bool = True

    @property
    def name(self) -> str:
        return f"openrouter/{self.models[0]}"

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the first usable reply, or why there is none."""
        if question.prompt is None:
            reason = "no_prompt: there is no text to ask with"
            return Answer(Outcome.NO_ANSWER, model_requested=self.models[0], reason=reason)
        tried: list[Answer] = []
        for model in self.models:
            if tried and deadline.passed():
                break
            tried.append(self._ask_one(model, question, question.prompt, deadline))
            if tried[-1].outcome is Outcome.ANSWERED:
                break
        return _together(tried)

    def read(self, question: Question, answer: Answer) -> Reading:
        """Return what the reply says, through the gate."""
        if answer.outcome is not Outcome.ANSWERED:
            return Reading(answer.outcome, reason=answer.reason)
        return read_reply(answer.raw, question, model=answer.model_requested)

    def _ask_one(self, model: str, question: Question, prompt: Prompt, deadline: Deadline) -> Answer:
        call = Call(model, prompt.system, prompt.user, response_schema(question.bot.symbols))
        try:
            received = ask(self.endpoint, call, seconds=deadline.left())
        except NoReply as fault:
            waited = deadline.seconds - deadline.left()
            return Answer(Outcome.NO_ANSWER, raw=fault.raw, model_requested=model, latency=waited, reason=str(fault))
        try:
            return _judged(received.raw, model, question, received.seconds)
        except Exception as fault:  # noqa: BLE001
            # As in the gate: whatever a body does to the code that reads it, the bot holds.
            return Answer(
                Outcome.REJECTED,
                raw=received.raw,
                model_requested=model,
                latency=received.seconds,
                reason=gate_fault(fault),
            )


def model_decider(chain_names: Sequence[str], asking: Asking, *, purse: Purse, known: Known) -> ModelDecider:  # noqa: ARG001
    """Return what asks the models of a chain, each named <provider>/<model>, in their order.

    Raises Rejected when the first cannot be asked.
    """
    provider, model = split_name(chain_names[0])
    fallbacks = (name.removeprefix(f"{provider}/") for name in chain_names[1:])
    return ModelDecider((model, *fallbacks), endpoint_of(provider), asking)


def _judged(raw: bytes, model: str, question: Question, seconds: float) -> Answer:
    """Return a received body as an answer. Whether it can be used at all decides if the next model is asked."""
    served, finish, usage = peek(raw)
    answer = Answer(
        Outcome.ANSWERED,
        raw=raw,
        model_requested=model,
        model_served=served,
        finish_reason=finish,
        usage=usage,
        latency=seconds,
    )
    reading = read_reply(raw, question, model=model)
    if reading.outcome is not Outcome.ANSWERED:
        return replace(answer, outcome=reading.outcome, text=_text_of(raw, model), reason=reading.reason)
    return replace(answer, text=_text_of(raw, model))


def _text_of(raw: bytes, model: str) -> str | None:
    try:
        return open_envelope(raw, model=model).text
    except Unreadable:
        return None


def _together(tried: Sequence[Answer]) -> Answer:
    """Return the last answer with the tokens, the money and the time of all, and what went wrong before it."""
    if len(tried) == 1:
        return tried[0]
    reasons = [f"{answer.model_requested}: {answer.reason}" for answer in tried if answer.reason]
    costs = [answer.usage.cost for answer in tried if answer.usage.cost is not None]
    usage = Usage(
        sum(answer.usage.prompt_tokens for answer in tried),
        sum(answer.usage.completion_tokens for answer in tried),
        sum(costs, Decimal(0)) if costs else None,
    )
    return replace(tried[-1], usage=usage, latency=sum(answer.latency for answer in tried), reason="; ".join(reasons))
