"""A worker that has tasks in hand survives that its connection to Redis is gone, and nothing else is passed over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport import redis

from vibex.broker import PatientQoS


def in_hand(client: object) -> PatientQoS:
    """Return the book of a channel with one task in hand; without a `client` its connection is gone."""

    def acquired(_: Any = None) -> Any:
        raise AttributeError("'NoneType' object has no attribute 'hostname'")

    transport = SimpleNamespace(client=client)
    channel: Any = SimpleNamespace(connection=transport, conn_or_acquire=acquired, do_restore=False)
    return PatientQoS(channel)


def test_what_cannot_be_given_back_is_left_to_redis() -> None:
    assert in_hand(None).restore_unacked() == []
    in_hand(None).ack("tag")


def test_another_fault_is_not_passed_over() -> None:
    book = in_hand(object())
    with pytest.raises(AttributeError):
        book.restore_unacked()
    with pytest.raises(AttributeError):
        book.ack("tag")


def test_kombu_still_needs_it() -> None:
    """When this fails the fault is mended there: `vibex/broker.py` can go."""
    book = in_hand(None)
    with pytest.raises(AttributeError):
        redis.QoS.restore_unacked(book)
