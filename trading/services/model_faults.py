"""What a person has to look at before a model can be asked again: a key that is not taken, money that is used up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from accounts.models import Incident
from decisions.domain.ladder import needs_person
from decisions.domain.question import Answer, Attempt, Outcome
from trading.services.journal.base import Journal

KINDS: Final = {"key": "model-key", "credit": "model-credit"}
TEXTS: Final = {
    "key": "{provider} does not take the key it is given ({code}): set a valid one. Until then its models answer nothing: "
    "bots without a model of another provider hold; what is open keeps its protection.",
    "credit": "{provider} has no credit left for its key, or a limit of the account there is reached ({code}): add credit or "
    "raise the limit. Until then its models answer nothing; what is open keeps its protection.",
}


def model_faults_note(*, journal: Journal, account_id: int, answer: Answer) -> None:
    """Open an incident for a key or credit that was refused, and end it when the provider answers again."""
    attempts = list(_attempts(answer))
    for attempt in attempts:
        if fault := needs_person(attempt):
            text = TEXTS[fault].format(provider=attempt.provider, code=attempt.reason.partition(":")[0])
            journal.incident(KINDS[fault], text, subject=attempt.provider)
    answered = {attempt.provider for attempt in attempts if attempt.outcome is Outcome.ANSWERED}
    if not answered:
        return
    open_ones = Incident.objects.filter(account_id=account_id, kind__in=KINDS.values(), resolved__isnull=True)
    for kind, subject in open_ones.values_list("kind", "data__subject"):
        if subject in answered:
            journal.mended(kind, subject)


def _attempts(answer: Answer) -> Iterator[Attempt]:
    yield from answer.attempts
    for member in answer.members:
        yield from member.answer.attempts
