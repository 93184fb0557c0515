"""Giving connections to the database back before something is waited for: a pool has few, and waits are long."""

from __future__ import annotations

from django.db import connection


def let_go_of_server() -> None:
    """Give a connection to a database server back before a long wait. A file that is open keeps nobody waiting."""
    if connection.vendor != "sqlite":
        let_go()


def let_go() -> None:
    """Give the connection to the database back, where no transaction of somebody else is open."""
    if not connection.in_atomic_block:
        connection.close()
