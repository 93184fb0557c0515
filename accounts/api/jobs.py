"""Jobs of the signed-in person: to follow, and to break off where that can be done."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import AGAIN_AFTER, JobOut
from accounts.access.views import Rows
from accounts.models import Job
from accounts.services.jobs import job_cancel, jobs_sweep
from vibex.lib.api import Filters
from vibex.lib.api.query import RowId


class JobFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="bot_id")
    kind = serializers.CharField(required=False)
    status = serializers.ChoiceField(Job.Status.choices, required=False)


class JobViewSet(Rows[Job]):
    """What you asked for and what became of it, newest first."""

    acts: ClassVar = {"destroy": Act.OWN}
    serializer_class = JobOut
    filters = JobFilters
    order = ("-created", "-id")
    orders: ClassVar = {"created": ("created", "id")}

    def rows(self) -> QuerySet[Job]:
        jobs_sweep(owner_id=self.person.pk)
        return Job.objects.filter(owner_id=self.person.pk)

    @extend_schema(responses=JobOut)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One job. While it runs, `Retry-After` says when to look again."""
        answer = super().retrieve(request, *args, **kwargs)
        if answer.data.get("status") == Job.Status.RUNNING:
            answer["Retry-After"] = AGAIN_AFTER
        return answer

    @extend_schema(request=None, responses={200: JobOut})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Break a backtest off. Other jobs go to their end: 409. One that has ended is answered as it is."""
        return Response(JobOut(job_cancel(job=self.get_object())).data)
