"""Models behind any OpenAI-compatible server, asked in order until one gives a usable reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from decisions.deciders.base import Answer, Outcome, Question, Reading
from decisions.deciders.climb import Climb, Link, TakeTurn
from decisions.deciders.ports import Known, NoPurse, Purse
from decisions.domain.dialects import refuse_floating
from decisions.domain.gate import read_reply
from decisions.domain.providers import split_name
from decisions.domain.question import Asking
from decisions.llm.endpoints import Endpoint, endpoint_of
from decisions.llm.formats import formats_read
from decisions.llm.turns import turn
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected


@dataclass(frozen=True, slots=True)
class ModelDecider:
    """Asks the models of a chain in order while the deadline allows. Every failure is an answer that holds."""

    chain: tuple[Link, ...]
    asking: Asking = field(default_factory=Asking)
    purse: Purse = field(default_factory=NoPurse)
    turn: TakeTurn = turn
    wants_prompt: bool = True

    @property
    def name(self) -> str:
        return self.chain[0].name

    @property
    def models(self) -> tuple[str, ...]:
        """The models as their providers name them."""
        return tuple(link.model for link in self.chain)

    @property
    def endpoint(self) -> Endpoint:
        """Where the first is asked."""
        return self.chain[0].endpoint or Endpoint("")

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the first usable reply, or why there is none."""
        if question.prompt is None:
            reason = "no_prompt: there is no text to ask with"
            return Answer(Outcome.NO_ANSWER, model_requested=self.models[0], reason=reason)
        return Climb(self.chain, self.asking, self.purse, question, question.prompt, deadline, self.turn).answer()

    def read(self, question: Question, answer: Answer) -> Reading:
        """Return what the reply says, through the gate."""
        if answer.outcome is not Outcome.ANSWERED:
            return Reading(answer.outcome, reason=answer.reason)
        return read_reply(answer.raw, question, model=answer.model_requested, also=self._also(answer.model_requested))

    def _also(self, model: str) -> tuple[str, ...]:
        return tuple(name for link in self.chain if link.model == model for name in link.also)


def model_decider(chain_names: Sequence[str], asking: Asking, *, purse: Purse, known: Known) -> ModelDecider:
    """Return what asks the models of a chain, each named <provider>/<model>, in their order.

    Raises Rejected when the first cannot be asked. One further down that cannot be asked is passed over, with the reason.
    """
    first, *others = dict.fromkeys(chain_names)
    links = [_link(first, asking, known)]
    for name in others:
        try:
            links.append(_link(name, asking, known))
        except Rejected as fault:
            links.append(Link(name, name, fault=f"{fault.code}: {fault}"))
    formats_read([(link.endpoint, link.model) for link in links if link.endpoint is not None])
    return ModelDecider(tuple(links), asking, purse)


def _link(name: str, asking: Asking, known: Known) -> Link:
    provider, model = split_name(name)
    endpoint = endpoint_of(provider)
    refuse_floating(endpoint.dialect, model)
    canonical = known.canonical(provider, model)
    return Link(
        name,
        model,
        endpoint,
        also=tuple(filter(None, (canonical, *asking.served))),
        price=known.price(provider, model),
        usual_seconds=known.usual_seconds(provider, model),
    )
