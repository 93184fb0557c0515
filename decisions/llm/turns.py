"""Whose turn it is to ask: how often a minute one model, and how many requests at once one provider. For all processes.

Two things are needed to ask. A *turn* of the model, from a bucket (`decisions/domain/turns.py`) of its own for each key;
and a *place* at the provider, which is held while the request is under way. They are kept in Redis where there is one
that answers, else in the database. A count that can be read nowhere lets nobody ask.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.conf import settings
from django.db import DatabaseError
from django.utils.crypto import salted_hmac

from decisions.domain.turns import LATE, Step, Turns, Wanted, rate_of
from decisions.llm.endpoints import Endpoint
from decisions.llm.turns_database import DatabaseTurns
from decisions.llm.turns_redis import RedisTurns
from vibex.lib.clock import Deadline
from vibex.lib.errors import Retryable

log = logging.getLogger(__name__)

OUTLIVES: Final = 5.0
"""Seconds after the deadline when a place is free by itself: its process did not live to say so."""
LOOKS: Final = (0.05, 1.0)
"""Seconds between two looks for a place: at first, and at the longest."""
LONGEST_NAME: Final = 160


class NoTurn(Retryable):
    """There is no turn before the deadline. Nothing was sent. The message begins with `rate:` or `busy:`."""


@contextmanager
def turn(endpoint: Endpoint, model: str, deadline: Deadline) -> Iterator[None]:
    """Wait for a turn to ask `model`, and hold a place at its provider for as long as the request is under way.

    Waiting counts against the deadline. Raises NoTurn when that would pass first: at once where it is certain already.
    """
    wanted = wanted_of(endpoint, model)
    turns = _waited(wanted, model, endpoint, deadline)
    try:
        yield
    finally:
        _leave(turns, wanted)


def _waited(wanted: Wanted, model: str, endpoint: Endpoint, deadline: Deadline) -> Turns:
    """Wait where turns are counted, and return where that was: in the database while Redis does not answer."""
    told = ""
    for turns in (_turns(), DatabaseTurns()) if settings.REDIS_URL else (_turns(),):
        try:
            _wait(turns, wanted, model, endpoint, deadline)
        except NoTurn:
            raise
        except Exception as fault:
            if not _is_of_the_count(fault):
                raise
            log.warning("turns to ask %s are not counted by %s: %s", model, type(turns).__name__, type(fault).__name__)
            told = type(fault).__name__
        else:
            return turns
    raise NoTurn(f"busy: the database does not say how many requests are under way ({told}), so none is sent")


def wanted_of(endpoint: Endpoint, model: str) -> Wanted:
    """Return what has to be had to ask a model at an endpoint."""
    mark = fingerprint(endpoint)
    return Wanted(
        bucket=f"{model[:LONGEST_NAME]} {mark}",
        places=f"{endpoint.provider} {mark}",
        rate=rate_of(endpoint.requests_per_minute or settings.LLM_REQUESTS_PER_MINUTE),
        at_once=endpoint.at_once or settings.LLM_AT_ONCE,
        holder=uuid.uuid4().hex,
    )


def fingerprint(endpoint: Endpoint) -> str:
    """Return a mark of server and key that tells two apart and nothing of either: a hash with the house's secret key."""
    return salted_hmac("vibex.turns", f"{endpoint.host} {endpoint.key}", algorithm="sha256").hexdigest()[:12]


def _wait(turns: Turns, wanted: Wanted, model: str, endpoint: Endpoint, deadline: Deadline) -> None:
    pause = LOOKS[0]
    while (left := deadline.left()) > 0:
        step = turns.take(wanted, longest=left, keep=left + OUTLIVES)
        if step.go:
            return
        if step.due is None and step.wait > left:
            raise NoTurn(_rate(endpoint, model, step.wait, left))
        if step.due is not None and _place_when_due(turns, wanted, step, deadline):
            return
        if step.due is None:
            time.sleep(min(pause * random.uniform(0.5, 1.0), deadline.left()))  # noqa: S311 - so that not all look at once
            pause = min(pause * 1.5, LOOKS[1])
    raise NoTurn(
        f"busy: all {wanted.at_once} requests to {endpoint.provider} that may be under way at once are, until the deadline"
    )


def _place_when_due(turns: Turns, wanted: Wanted, step: Step, deadline: Deadline) -> bool:
    """Wait for the moment of a turn, then look for a place as long as the turn is good. Without one it is lost."""
    time.sleep(step.wait)
    until = time.monotonic() + LATE
    while (left := deadline.left()) > 0 and time.monotonic() <= until:
        if turns.place(wanted, due=step.due or 0.0, keep=left + OUTLIVES).go:
            return True
        time.sleep(min(LOOKS[0], left))
    return False


def _rate(endpoint: Endpoint, model: str, wait: float, left: float) -> str:
    figure = endpoint.requests_per_minute or settings.LLM_REQUESTS_PER_MINUTE
    return (
        f"rate: {model} may be asked {figure} times a minute; the next turn comes in {wait:.1f} s, "
        f"and the deadline is in {left:.1f} s"
    )


def _leave(turns: Turns, wanted: Wanted) -> None:
    try:
        turns.leave(wanted)
    except Exception as fault:  # noqa: BLE001
        # The request is over, and its answer counts more than a place that frees itself a little later.
        log.warning("a place at %s frees itself only after its time: %s", wanted.places, type(fault).__name__)


def _is_of_the_count(fault: Exception) -> bool:
    """Tell whether a fault is one of where turns are counted."""
    if isinstance(fault, DatabaseError):
        return True
    if not settings.REDIS_URL:
        return False
    from redis import RedisError

    return isinstance(fault, RedisError | OSError)


def _turns() -> Turns:
    return RedisTurns() if settings.REDIS_URL else DatabaseTurns()
