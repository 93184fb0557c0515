"""Is the installation alive, is it ready, and what is wrong with it.

`live` only says that the process answers. `ready` also wants the database, a scheduler whose tasks run, a market that
moves, a guard and decisions that are in time, and room on the disk. It says yes or no and nothing else, because anybody
may ask; the details of `health_report` are for signed-in people.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db import Error, connection
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Face
from accounts.models import Account, User
from trading.selectors.installation import installation
from trading.services.watchers import BACKUP, SCHEDULER, watched
from vibex import looks
from vibex.looks import Check

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


UNSEEN = "not looked at: the database does not answer"


class LivenessOut(Out):
    """That the process answers."""

    status = serializers.ChoiceField(["alive"])


class ReadinessOut(Out):
    """Whether everything is right."""

    status = serializers.ChoiceField(["ready", "not ready"])


class OpenFace(Face):
    """What anybody may ask, whatever else they sent along. JSON, also for probes that would rather have something else."""

    authentication_classes = permission_classes = ()
    renderer_classes = (JSONRenderer,)
    acts: ClassVar = {"get": Act.OPEN}

    def perform_content_negotiation(self, request: Request, force: bool = True) -> tuple[Any, Any]:
        return super().perform_content_negotiation(request, force=force)


class LiveView(OpenFace):
    """That the process answers. Open; hangs on nothing else, so that nobody restarts it for another's fault."""

    def initial(self, request: Request, *_: Any, **__: Any) -> None:
        """Let everybody in without being counted: counting would ask the cache."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)

    @extend_schema(operation_id="health_live", responses=LivenessOut)
    def get(self, _: Request) -> Response:
        return Response({"status": "alive"})


class ReadyView(OpenFace):
    """200 when the installation can trade, else 503. Open, without details: those are in `status/`."""

    @extend_schema(operation_id="health_ready", responses={200: ReadinessOut, 503: ReadinessOut})
    def get(self, _: Request) -> Response:
        right = all(check.ok for check in health_checks())
        return Response({"status": "ready" if right else "not ready"}, status=200 if right else 503)


@extend_schema(exclude=True)
class ReadyAlias(ReadyView):
    """The same under the address that it had before the API had versions."""


def health_checks(person: User | None = None) -> list[Check]:
    """Look at everything that `ready` wants, in words for a person: accounts of others are counted, not named.

    Never raises: what cannot be looked at is not right.
    """
    database = _look("database", looks.database)
    asked: dict[str, Callable[[], Check]] = {
        "scheduler": looks.scheduler,
        "market": looks.market,
        "guard": partial(_guard, person),
    }
    if database.ok:
        rest = [_look(name, look) for name, look in asked.items()]
    else:  # each would wait for a connection in vain, and a probe waits for none of them
        rest = [Check(name, False, UNSEEN) for name in asked]
    return [database, *rest, _look("disk", looks.disk)]


def health_report(person: User) -> dict[str, Any]:
    """Return the checks with their details, how the installation is set up, and what the process takes."""
    checks, here = health_checks(person), installation()
    return {
        "status": "ready" if all(check.ok for check in checks) else "not ready",
        "checks": [asdict(check) for check in (*checks, _look("backup", looks.backup))],
        "environment": here.environment,
        "database": connection.vendor,
        "processes": "several" if settings.REDIS_URL else "one",
        "features": here.features,
        "decider_host": here.decider_host,
        "versions": here.versions,
        "peak_memory_mb": _peak_memory_mb(),
        "at": timezone.now(),
    }


def _guard(person: User | None) -> Check:
    """Look for what is late, and have people told: whoever asks for health sees a worker that died."""
    late = [one for one in watched.look() if one.subject not in (SCHEDULER, BACKUP)]  # those have lines of their own
    told = [one.text for one in late if one.account is None or _may_see(person, one.account)]
    if hidden := len(late) - len(told):
        told.append(f"Late on accounts of others: {hidden}.")
    return Check("guard", not late, " ".join(told) or "nothing is late")


def _may_see(person: User | None, account: Account) -> bool:
    return person is not None and (person.is_staff or person.pk == account.owner_id)


def _look(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except (Error, OSError) as fault:
        return Check(name, False, f"cannot be looked at: {type(fault).__name__}")


def _peak_memory_mb() -> int:
    """Return the most memory this process has held, in MB. Linux counts in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
