"""The variables of the database: how many connections a process keeps, and how long a statement may take."""

from dataclasses import dataclass

from vibex.lib.parsers import number
from vibex.lib.variable import variable
from vibex.lib.variables_reach import ReachVariables


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DatabaseVariables(ReachVariables):
    """PostgreSQL only; SQLite knows none of them."""

    DATABASE_POOL_SIZE: int = variable(
        number(1, 1_000),
        "Most connections to PostgreSQL that one process holds. All processes together must stay below max_connections.",
        default="20",
        example="10",
        section="Database",
    )
    DATABASE_STATEMENT_SECONDS: int | None = variable(
        number(0, 86_400),
        "Seconds after which PostgreSQL ends a statement of pages and workers; 0: never. Unset: 30 in pages, 60 in "
        "workers and `up`. Migrations and other commands have no such limit.",
        example="45",
        section="Database",
    )
    DATABASE_LOCK_SECONDS: int = variable(
        number(1, 3_600),
        "Seconds after which PostgreSQL ends a statement that waits for a lock, in migrations too.",
        default="10",
        example="5",
        section="Database",
    )
    DATABASE_IDLE_SECONDS: int = variable(
        number(1, 86_400),
        "Seconds after which PostgreSQL ends a connection of pages and workers that leaves a transaction open and does "
        "nothing in it. Other commands have ten times as long.",
        default="60",
        example="120",
        section="Database",
    )
