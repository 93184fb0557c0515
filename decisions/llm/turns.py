"""Whose turn it is to ask: how often a minute one model, and how many requests at once one provider. For all processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from decisions.llm.endpoints import Endpoint
from vibex.lib.clock import Deadline
from vibex.lib.errors import Retryable


class NoTurn(Retryable):
    """There is no turn before the deadline. Nothing was sent. The message begins with `rate:` or `busy:`."""


@contextmanager
def turn(endpoint: Endpoint, model: str, deadline: Deadline) -> Iterator[None]:
    """Wait for a turn to ask `model`, and hold it for as long as the request is under way.

    Waiting counts against the deadline. Raises NoTurn when it would pass first, at once where that is certain already.
    """
    if deadline.passed():
        raise NoTurn(f"busy: there was no turn to ask {model} at {endpoint.host} before the deadline")
    yield
