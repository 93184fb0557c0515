"""Work that may take longer than an answer: a row from before it begins, a thread of its own, and an end that is kept.

Jobs run in the process that was asked and wait in no queue: nothing that closes a position stands behind a cycle that
waits for a model. What lowers risk is never refused; of the rest a process works on some at once.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError, connection, connections
from django.utils import timezone

from accounts.models import Account, Bot, Job, User
from vibex.lib.api.problems import problem_of
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected, Retryable, VibexError
from vibex.lib.events import publish_to_person_on_commit
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)

ALIVE: Final = timedelta(seconds=30)
"""So long a job counts as worked on after its process said so last."""
BEAT: Final = 5.0
"""Seconds between two such words."""
AT_ONCE: Final = 8
OF_ONE_PERSON: Final = 4
"""Jobs that a process works on at once, but for those that lower risk: each may hold a connection of the pool of 20."""
MOST_LINES: Final = 200
ENDINGS: Final = 10
"""How often a database that refuses is asked to keep how a job ended, a second apart."""
APART: Final = 0.2
KEPT: Final = timedelta(days=30)
LOST: Final = "The process that did this has ended. Look at the account."
CANCELLED: Final = "cancelled"
CAN_CANCEL: Final = frozenset({"backtest"})
"""Kinds that can be broken off: what acts on an account goes to its end."""

type Result = dict[str, Any]
type Work = Callable[[JobWork], Result]
"""Does it, in a thread of its own, and returns what is told as JSON. Raises Rejected, NeedsOperator, Retryable."""


@dataclass(slots=True)
class JobWork:
    """A job as its worker sees it."""

    job_id: int
    owner_id: int
    vital: bool = False
    """Whether it lowers risk: then a process that ends waits some seconds for it."""
    done: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants it any more; only what can be cancelled looks at it."""
    told: threading.Event = field(default_factory=threading.Event)
    """Set once it has told something."""
    _lines: list[dict[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, text: str) -> None:
        """Add a line to the progress. Trouble with telling holds up no work."""
        line = {"at": timezone.now().isoformat(), "text": mask_text(text)[:300]}
        try:
            with self._lock:
                self._lines = [*self._lines, line][-MOST_LINES:]
                Job.objects.filter(pk=self.job_id).update(progress=self._lines)
            _publish(Job.objects.get(pk=self.job_id))
        except DatabaseError:
            log.exception("job %s could not tell: %s", self.job_id, text)
        finally:
            self.told.set()


_at_work: dict[int, JobWork] = {}
"""What this process works on, by the id of the job."""
_gate = threading.Lock()
_beating = threading.Event()


def job_begin(
    *,
    owner: User,
    kind: str,
    work: Work,
    account: Account | None = None,
    bot: Bot | None = None,
    asked: Result | None = None,
    vital: bool = False,
) -> Job:
    """Begin a job, or return the one that does the same for the same person already. Its row is committed first.

    Raises Retryable while too many run. Inside of somebody else's transaction it is done on the spot: nobody else could
    see its row.
    """
    asked = asked or {}
    with _gate:
        same = _same(owner, kind, account, bot, asked, vital=vital)
        if same is not None:
            return same
        if not vital:
            _refuse_too_many(owner)
        job = Job.objects.create(
            owner=owner, kind=kind, account=account, bot=bot, request=asked, alive_until=timezone.now() + ALIVE
        )
        at_work = _at_work[job.pk] = JobWork(job.pk, owner.pk, vital)
    _publish(job)
    if connection.in_atomic_block:
        _run(work, at_work)
        job.refresh_from_db()
        return job
    _keep_beating()
    context = contextvars.copy_context()  # the request's id, and how it came in, belong to what is done for it
    thread = threading.Thread(
        target=context.run, args=(_run_apart, work, at_work), name=f"job-{job.pk}-{kind}", daemon=True
    )
    thread.start()
    return job


def job_wait(job: Job, seconds: float, *, until_told: bool = False) -> Job:
    """Return the job as it stands once it has ended, or after so many seconds; `until_told`: once it has told something."""
    patience, at_work = Deadline(seconds), _at_work.get(job.pk)
    while not patience.passed():
        if at_work is None:  # another process works on it, or it has ended
            job.refresh_from_db()
            if job.status != Job.Status.RUNNING:
                break
            time.sleep(min(APART, patience.left()))
            continue
        ended = at_work.done.wait(min(APART, patience.left()) if until_told else patience.left())
        if ended or (until_told and at_work.told.is_set()):
            break
    job.refresh_from_db()
    return job


def job_cancel(*, job: Job) -> Job:
    """Break a job off, in whatever process it runs. One that has ended stays as it is. Raises Rejected where it must go on."""
    if job.status == Job.Status.RUNNING and job.kind not in CAN_CANCEL:
        raise Rejected(f"A {job.kind} cannot be broken off: it goes to its end.", code="not-cancellable")
    problem = _problem(Rejected("It was cancelled.", code=CANCELLED))
    _end(job.pk, Job.Status.FAILED, problem=problem)
    if (at_work := _at_work.get(job.pk)) is not None:
        at_work.stop.set()
    job.refresh_from_db()
    return job


def jobs_sweep(*, owner_id: int | None = None) -> int:
    """Mark jobs as lost whose process has died, and return how many; without an owner also forget those long over."""
    now = timezone.now()
    # Without an order: SQLite would go through all jobs of the owner for it.
    overdue = Job.objects.filter(status=Job.Status.RUNNING, alive_until__lt=now).order_by()
    if owner_id is not None:
        overdue = overdue.filter(owner_id=owner_id)
    lost = [job.pk for job in overdue if _end(job.pk, Job.Status.LOST, problem=_lost_problem(), overdue=True)]
    if owner_id is None:
        ended = [status for status in Job.Status if status is not Job.Status.RUNNING]  # by name: the index has them so
        Job.objects.filter(status__in=ended, alive_until__lt=now - KEPT).delete()
    return len(lost)


def jobs_drain(seconds: float) -> bool:
    """Let what can be cancelled stop, and wait for what lowers risk. False when that was still at work after `seconds`."""
    patience, at_work = Deadline(seconds), list(_at_work.values())
    for one in at_work:
        one.stop.set()
    return all(one.done.wait(patience.left()) for one in at_work if one.vital)


class Jobs:
    """The jobs of this process as a part of it that is stopped in order."""

    DRAIN_SECONDS: Final = 20.0

    def start(self) -> None:
        """Nothing: jobs begin when they are asked for."""

    def stop(self) -> bool:
        """Wait for what lowers risk. False when it had to be cut off: the guard goes on with it after the next start."""
        return jobs_drain(self.DRAIN_SECONDS)


# -- the work ----------------------------------------------------------------------------------------------------------


def _run_apart(work: Work, at_work: JobWork) -> None:
    try:
        _run(work, at_work)
    finally:
        connections.close_all()


def _run(work: Work, at_work: JobWork) -> None:
    try:
        result, problem = work(at_work), None
    except VibexError as fault:
        result, problem = None, _problem(fault)
    except Exception:
        log.exception("job %s broke off", at_work.job_id)
        result, problem = None, _BUG
    try:
        _end_surely(at_work.job_id, result, problem)
    finally:
        _at_work.pop(at_work.job_id, None)
        at_work.done.set()


def _end_surely(job_id: int, result: Result | None, problem: Result | None) -> None:
    status = Job.Status.DONE if problem is None else Job.Status.FAILED
    for attempt in range(ENDINGS):
        if attempt:
            time.sleep(1.0)
        try:
            _end(job_id, status, result=result, problem=problem)
        except DatabaseError:
            if connection.in_atomic_block:
                raise
            log.exception("how job %s ended could not be kept yet", job_id)
            connections.close_all()
        else:
            return


def _end(
    job_id: int,
    status: str,
    *,
    result: Result | None = None,
    problem: Result | None = None,
    overdue: bool = False,
) -> bool:
    """Keep how a job ended, once. What was taken for lost and comes to its end after all has not been lost."""
    open_ones = [Job.Status.RUNNING] if overdue or status == Job.Status.LOST else [Job.Status.RUNNING, Job.Status.LOST]
    rows = Job.objects.filter(pk=job_id, status__in=open_ones)
    if overdue:
        rows = rows.filter(alive_until__lt=timezone.now())
    if rows.update(status=status, result=result, problem=problem, ended=timezone.now()) != 1:
        return False
    _publish(Job.objects.get(pk=job_id))
    return True


def _publish(job: Job) -> None:
    data = {"id": job.pk, "status": str(job.status), "account": job.account_id, "bot": job.bot_id}
    publish_to_person_on_commit(user_id=job.owner_id, kind="job", data=data)


# -- who is let in -----------------------------------------------------------------------------------------------------


def _same(
    owner: User, kind: str, account: Account | None, bot: Bot | None, asked: Result, *, vital: bool
) -> Job | None:
    """Return the job that does just this already: a double click begins nothing anew.

    What lowers risk relies on no other process: that one may have died a moment ago, and doing it twice is harmless.
    """
    running = Job.objects.filter(owner=owner, kind=kind, account=account, bot=bot, status=Job.Status.RUNNING)
    if vital:
        running = running.filter(pk__in=list(_at_work))
    alive = running.filter(alive_until__gt=timezone.now()).order_by("-pk")
    return next((job for job in alive if job.request == asked), None)


def _refuse_too_many(owner: User) -> None:
    others = [one for one in _at_work.values() if not one.vital]
    if sum(one.owner_id == owner.pk for one in others) >= OF_ONE_PERSON:
        raise Retryable("So many of your jobs are still running: wait until one has ended.")
    if len(others) >= AT_ONCE:
        raise Retryable("So much is being worked on just now: try again in a moment.")


# -- that it is alive --------------------------------------------------------------------------------------------------


def _keep_beating() -> None:
    """See to it that one thread of this process says of its jobs that they are worked on."""
    with _gate:
        if not _beating.is_set():
            _beating.set()
            threading.Thread(target=_beat, name="jobs-alive", daemon=True).start()


def _beat() -> None:
    """Say so until nothing runs any more."""
    while True:
        time.sleep(BEAT)
        with _gate:
            ids = list(_at_work)
            if not ids:
                _beating.clear()
                return
        try:
            _stay_alive(ids)
        except DatabaseError:
            log.exception("jobs could not be said to be alive")
        finally:
            connections.close_all()


def _stay_alive(ids: list[int]) -> None:
    mine = Job.objects.filter(pk__in=ids, status=Job.Status.RUNNING)
    if mine.update(alive_until=timezone.now() + ALIVE) == len(ids):
        return
    for job_id in set(ids) - set(mine.values_list("pk", flat=True)):  # cancelled through another process
        if (at_work := _at_work.get(job_id)) is not None:
            at_work.stop.set()


# -- what went wrong ---------------------------------------------------------------------------------------------------

_BUG: Final[Result] = {
    "type": "about:blank#fault",
    "title": "Internal Server Error",
    "status": 500,
    "detail": "Something went wrong in Vibex itself; the log says what. Look at the account.",
    "code": "fault",
}


def _problem(fault: VibexError) -> Result:
    """Return a fault as a problem; one that is none of the three is a conflict with what others did meanwhile."""
    answer = problem_of(fault, {}) or problem_of(Rejected(str(fault), code="overtaken"), {})
    assert answer is not None, "a Rejected has an answer"  # noqa: S101
    body: Result = answer.data
    return {**body, "detail": mask_text(str(body["detail"]))}


def _lost_problem() -> Result:
    return _problem(Rejected(LOST, code="lost"))
