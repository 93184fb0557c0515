"""Celery's way to Redis, with one fault of kombu 5.7 mended: a worker survives the loss of Redis with a task in hand.

When Redis goes away kombu drops the connection and then tries to give back, over it, what was not acknowledged: that is
an AttributeError, which Celery takes for the end of the worker. A task that is done afterwards is acknowledged the same way.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import redis

log = logging.getLogger(__name__)


class PatientQoS(redis.QoS):
    """Leaves what cannot be given back, or acknowledged, to Redis: it hands it out again when its time is over.

    That does no harm. A task that comes twice finds in the database what was done.
    """

    def restore_unacked(self, client: Any = None) -> Any:
        try:
            return super().restore_unacked(client=client)
        except AttributeError:
            self._only_without_connection()
            return []

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except AttributeError:
            self._only_without_connection()

    def _only_without_connection(self) -> None:
        """Raise what is being handled, unless it comes of a connection that is gone."""
        if getattr(self.channel.connection, "client", None) is not None:
            raise  # noqa: PLE0704 - called while it is handled
        log.warning("Redis is gone with tasks in hand: what was not acknowledged is handed out again")


def mend() -> None:
    """Let every channel of this process be patient."""
    redis.Channel.QoS = PatientQoS
