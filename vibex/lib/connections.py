"""Connections to the database: given back before something is waited for, not shared with a child, let off their limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, InterfaceError, InternalError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

AWAY: Final = (OperationalError, InterfaceError, InternalError)
"""What is raised where the database, or the session with it, is gone: trying again may help. As InternalError PostgreSQL says
that it ended a session which left its transaction open for too long."""


def let_go_of_server() -> None:
    """Give a connection to a database server back before a long wait. A file that is open keeps nobody waiting."""
    if connection.vendor != "sqlite":
        let_go()


def let_go() -> None:
    """Give the connection to the database back, where no transaction of somebody else is open."""
    if not connection.in_atomic_block:
        connection.close()


_left_behind: list[Any] = []
"""What a child of a fork inherited. Kept for ever: closing it would end the connections that its parent uses."""


def forget_after_fork() -> None:
    """Begin anew in the child of a fork: the sockets of the parent are not its own, and the threads of a pool did not come along."""
    pools = getattr(connections[DEFAULT_DB_ALIAS], "_connection_pools", None)
    if pools:
        _left_behind.append(dict(pools))
        pools.clear()
    for opened in connections.all(initialized_only=True):
        _left_behind.append(opened.connection)
        opened.connection = None


@contextmanager
def unhurried(opened: BaseDatabaseWrapper) -> Iterator[None]:
    """Let the statements of a connection take as long as they take, in this block. Locks are waited for as ever."""
    if opened.vendor != "postgresql":
        yield
        return
    with opened.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    try:
        yield
    finally:
        # Its connection goes back to the pool. One that broke meanwhile is not handed out again.
        if not opened.in_atomic_block and opened.connection is not None and opened.is_usable():
            with opened.cursor() as cursor:
                cursor.execute("RESET statement_timeout; RESET lock_timeout; RESET idle_in_transaction_session_timeout")
