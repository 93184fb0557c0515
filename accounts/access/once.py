"""Forms that act once, however often they are sent: a double click, the back button, a page that is loaded again.

The page that asks carries a token; what came of it is kept under that name as the answers to `Idempotency-Key` are, for a
day. The rules are those of the API: what may raise risk is never done again under the same name; what lowers risk acts
again where nobody knows how the first press ended, where it failed, and from a minute after it on.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast
from uuid import uuid4

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from accounts.access.idempotency import END_FOR
from accounts.models import IdempotentCall, Job, User
from accounts.services.calls import call_answered, call_begin, call_drop
from accounts.services.jobs import JobWork, Work
from vibex.lib.clock import Deadline

log = logging.getLogger(__name__)

NAME: Final = "token"
"""The field of a form that names it."""
WELL_FORMED: Final = re.compile(r"[0-9a-f]{32}")
FIRST_BEGINS: Final = 3.0
"""Seconds for which the second press of a button waits until the first one has begun its work."""
SENT_BEFORE: Final = "This form was sent before. Look how things stand now, and confirm again if it is still meant."
UNTOLD: Final = ("csrfmiddlewaretoken", NAME)


@dataclass(slots=True)
class Press:
    """One press of a button. With a `job` it was done before, and that is what came of it."""

    call: IdempotentCall
    ends: bool
    """Whether it lowers risk."""
    job: Job | None = None
    other: bool = False
    """Whether the same form was sent before with other words in it, or nobody knows what came of it."""
    _noted: bool = False

    def once(self, work: Work) -> Work:
        """Return work that first of all notes what the press has begun: from then on the same form leads there.

        What lowers risk is done also where that cannot be noted.
        """

        def noted(job: JobWork) -> dict[str, Any]:
            try:
                self._note(job.job_id)
            except DatabaseError:
                if not self.ends:
                    raise
                log.exception("a press could not be noted; its work is done")
            return work(job)

        return noted

    def began(self, job: Job) -> None:
        """Note what the press led to, where that is work which another press had begun.

        What lowers risk has begun: that it cannot be noted is no failure of it.
        """
        if self._noted:
            return
        try:
            self._note(job.pk)
        except DatabaseError:
            if not self.ends:
                raise
            log.exception("a press could not be noted; its work goes on")

    def _note(self, job_id: int) -> None:
        call_answered(call=self.call, status=HTTPStatus.SEE_OTHER, headers={}, body={"job": job_id})
        self._noted = True

    def dropped(self) -> None:
        """Forget the press: it was turned away before it did anything."""
        if self.call.pk is not None:
            call_drop(call=self.call)


def new_token() -> str:
    """Return the name of a form that is shown now."""
    return uuid4().hex


def pressed(request: HttpRequest, *, ends: bool) -> Press:
    """Return a press of the form, and what came of the first one where it was sent before.

    `ends`: it lowers risk, and is done also where it cannot be kept that it was pressed.
    """
    token = request.POST.get(NAME, "")
    named = token if WELL_FORMED.fullmatch(token) else new_token()
    digest, user = _digest(request), cast("User", request.user)
    try:
        call, new = call_begin(user=user, key=f"form:{named}", digest=digest)
    except DatabaseError:
        if not ends:
            raise
        log.exception("a press could not be kept; what it asks for is done")
        return Press(IdempotentCall(user=user, key=f"form:{named}", digest=digest), ends)
    if new:
        return Press(call, ends)
    if call.digest != digest:
        return Press(call, ends, other=not ends)
    job = _first(call)
    if job is None:
        return Press(call, ends, other=not ends)
    if ends and (job.status in (Job.Status.FAILED, Job.Status.LOST) or timezone.now() - call.created >= END_FOR):
        return Press(call, ends)
    return Press(call, ends, job)


def _first(call: IdempotentCall) -> Job | None:
    """Return what the first press began; None where that is not known after some seconds."""
    patience = Deadline(FIRST_BEGINS)
    while call.body is None and not patience.passed():
        time.sleep(0.1)
        call = IdempotentCall.objects.filter(pk=call.pk).first() or call
    return Job.objects.filter(owner_id=call.user_id, pk=call.body["job"]).first() if call.body else None


def _digest(request: HttpRequest) -> str:
    told = sorted((name, values) for name, values in request.POST.lists() if name not in UNTOLD)
    return hashlib.sha256(f"{request.path}\n{told}".encode()).hexdigest()
