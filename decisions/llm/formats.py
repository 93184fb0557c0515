"""Which format of a reply a model takes: learned from refusals, remembered for a day, shared by all processes.

Read before a question is put and written when its answer is recorded: nothing here touches the database while a model
is waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from django.db import DatabaseError
from django.utils import timezone

from decisions.domain.dialects import RUNGS
from decisions.domain.ladder import Rung
from decisions.llm.endpoints import Endpoint
from decisions.models import LearnedFormat

log = logging.getLogger(__name__)

TRIED_AGAIN_AFTER: Final = timedelta(hours=24)
"""So old, a lesson is no longer believed: the strictest format is tried again."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    rung: Rung
    at: datetime
    provider: str


_lock = Lock()
_known: dict[tuple[str, str], _Lesson] = {}
_unwritten: set[tuple[str, str]] = set()


def formats_of(endpoint: Endpoint, model: str) -> tuple[Rung, ...]:
    """Return the formats to ask for, the first one first."""
    rungs = RUNGS[endpoint.dialect]
    lesson = _known.get((endpoint.base_url, model))
    if lesson is None or timezone.now() - lesson.at >= TRIED_AGAIN_AFTER or lesson.rung not in rungs:
        return rungs
    return rungs[rungs.index(lesson.rung) :]


def format_learned(endpoint: Endpoint, model: str, rung: Rung) -> None:
    """Remember the format that a model took, where that is not what was expected."""
    key = (endpoint.base_url, model)
    with _lock:
        if formats_of(endpoint, model)[0] is rung and (key not in _known or _fresh(_known[key])):
            return
        _known[key] = _Lesson(rung, timezone.now(), endpoint.provider)
        _unwritten.add(key)


def formats_read(chain: Collection[tuple[Endpoint, str]]) -> None:
    """Take over what other processes learned of the models of a chain."""
    places = {endpoint.base_url for endpoint, _ in chain}
    models = {model for _, model in chain}
    try:
        rows = list(LearnedFormat.objects.filter(base_url__in=places, model__in=models))
    except DatabaseError:  # no tables yet: then nobody has learned anything
        return
    with _lock:
        for row in rows:
            key = (row.base_url, row.model)
            if key not in _known or _known[key].at < row.learned_at:
                _known[key] = _Lesson(Rung(row.format), row.learned_at, row.provider)


def formats_write() -> None:
    """Store what was learned in this process since the last time. What cannot be stored waits: an answer counts more."""
    with _lock:
        fresh = {key: _known[key] for key in _unwritten if key in _known}
    for (base_url, model), lesson in fresh.items():
        learned = {"provider": lesson.provider, "format": lesson.rung.value, "learned_at": lesson.at}
        try:
            LearnedFormat.objects.update_or_create(base_url=base_url, model=model, defaults=learned)
        except DatabaseError as fault:
            log.warning("the format that %s takes could not be stored: %s", model, type(fault).__name__)
            continue
        with _lock:
            if _known.get((base_url, model)) is lesson:
                _unwritten.discard((base_url, model))


def formats_forget() -> None:
    """Forget what this process knows: for tests."""
    with _lock:
        _known.clear()
        _unwritten.clear()


def _fresh(lesson: _Lesson) -> bool:
    return timezone.now() - lesson.at < TRIED_AGAIN_AFTER
