"""What the pages do as jobs and the API does at once: a bot is started or stopped."""

from __future__ import annotations

from typing import Any

from accounts.models import Bot, User
from accounts.services.jobs import JobWork
from trading.services.schedule import bot_start, bot_stop


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
