"""The log of this installation, for staff that may read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from accounts.access.views import Face
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, query
from vibex.lib.logreading import LEVELS, Tail, Wanted, log_tail

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

MAY_READ: Final = "accounts.read_logs"
NO_FILES: Final = (
    "There are no log files here: the processes write to standard output (LOG_FILES, docs/logging.md). Read the log where "
    "that goes: journalctl, docker logs."
)


class LogLineOut(Out):
    """A line. What looks like a secret is masked; texts may hold what models and venues said: not to be trusted."""

    timestamp = serializers.DateTimeField()
    level = serializers.CharField()
    logger = serializers.CharField()
    message = serializers.CharField()
    context = serializers.DictField()  # type: ignore[assignment]
    exception = serializers.CharField(allow_null=True)
    stack = serializers.CharField(allow_null=True)


class LogsOut(Out):
    """Lines, newest first. `next` leads to older ones; it is there, too, where reading took too long and stopped."""

    next = serializers.URLField(allow_null=True)
    results = LogLineOut(many=True)
    note = serializers.CharField(help_text="Why there is nothing to read; else empty.")


class LogsQuery(Filters):
    level = serializers.ChoiceField(LEVELS, default="debug", help_text="This level and those above.")
    logger = serializers.RegexField(
        r"^[A-Za-z0-9_.]*$", max_length=200, default="", help_text="What the logger's name begins with."
    )
    contains = serializers.CharField(
        max_length=200, default="", help_text="Anywhere in the line; large and small A to Z are the same."
    )
    request_id = serializers.RegexField(r"^[A-Za-z0-9_-]{1,64}$", default="")
    since = Moment(default=None)
    until = Moment(default=None, help_text="Before this moment.")
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)


class LogsView(Face):
    """The newest lines of the log files that fit. For staff with the permission to read logs."""

    @extend_schema(parameters=[LogsQuery], responses=LogsOut)
    def get(self, request: Request) -> Response:
        if not (self.person.is_staff and self.person.has_perm(MAY_READ)):
            raise PermissionDenied("The log is for staff with the permission to read it.")
        tail = log_tail(Path(settings.VIBEX_LOG_DIR), Wanted(**query(LogsQuery, request)))
        note = "" if tail.files else NO_FILES
        return Response(LogsOut({"next": _next(request, tail), "results": tail.lines, "note": note}).data)


def _next(request: Request, tail: Tail) -> str | None:
    if tail.reached is None:
        return None
    until = f"{tail.reached:%Y-%m-%dT%H:%M:%S.%f}Z"
    link: str = replace_query_param(request.build_absolute_uri(), "until", until)
    return link
