"""What the pages do as jobs beside what the API does so: everything of an account is closed, a bot is started or stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accounts.models import Account, Bot, User
from accounts.services.jobs import JobWork
from trading.models import Position
from trading.services.close_all import positions_close
from trading.services.schedule import bot_start, bot_stop
from vibex.lib.errors import Retryable

type Told = Callable[[Position], dict[str, Any]]
"""Writes a position as JSON, as the API does."""


def close_all_work(job: JobWork, *, account: Account, actor: User, told: Told) -> dict[str, Any]:
    """Close what is open; return what was closed. Raises Retryable when something is left, with what was closed as well."""
    done = positions_close(account=account, actor=actor, tell=job.tell)
    if done.left:
        closed = ", ".join(position.symbol for position in done.closed) or "nothing"
        raise Retryable(f"Closed: {closed}. {' '.join(done.left.values())}")
    return {"closed": [told(position) for position in done.closed]}


def bot_stop_work(job: JobWork, *, bot: Bot, actor: User) -> dict[str, Any]:
    """Stop a bot; return how it stands."""
    job.tell(f"stopping {bot.name}")
    return _told(bot_stop(bot=bot, actor=actor, reason="on the desk"))


def bot_start_work(job: JobWork, *, bot: Bot, actor: User) -> dict[str, Any]:
    """Start a bot; return how it stands. Raises Rejected when it may not run."""
    job.tell(f"starting {bot.name}")
    return _told(bot_start(bot=bot, actor=actor, reason="on the desk"))


def _told(bot: Bot) -> dict[str, Any]:
    return {"bot": bot.pk, "name": bot.name, "status": str(bot.status)}
