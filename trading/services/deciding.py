"""A decision at once, asked for on a page, as a job. That one form begins one is seen to by the page (`accounts.access.once`)."""

from __future__ import annotations

from typing import Final

from accounts.models import Bot, Job, User
from accounts.services.jobs import Work, job_begin, job_wait
from decisions.models import Cycle

KIND: Final = "cycle"
WAIT: Final = 2.0
"""Seconds that a person waits for the end; then the page of the cycle shows how it goes on."""


def decision_begin(*, bot: Bot, owner: User, form: str, work: Work) -> Job:
    """Let a bot decide now, as a job named after its form. Waits up to WAIT seconds for its end.

    Raises Retryable while too many jobs of the person run.
    """
    job = job_begin(owner=owner, kind=KIND, work=work, account=bot.account, bot=bot, asked={"form": form})
    return job_wait(job, WAIT)


def cycle_begun(job: Job) -> int | None:
    """Return the key of the cycle that a job began; None while there is none, and where it could not begin."""
    if job.result:
        return int(job.result["cycle"])
    begun = Cycle.objects.filter(bot=job.bot, began__gte=job.created).order_by("-began")
    return begun.values_list("pk", flat=True).first()
