"""Addresses for the tests of what all addresses have in common: bots, and what may be done to them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import include, path, re_path
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from accounts.access.acts import Act
from accounts.access.views import Face, Rows
from accounts.models import Bot
from accounts.services.audit import audit_write
from vibex import views
from vibex.lib.api import Filters, given
from vibex.lib.errors import Rejected, Retryable

DONE: list[str] = []
"""What was done, in order. A test empties it."""


class ThingOut(serializers.ModelSerializer[Bot]):
    class Meta:
        model = Bot
        fields = ("id", "account", "name", "model", "symbols", "status_reason", "created")


class ThingFilters(Filters):
    name = serializers.CharField(required=False)


class NoteIn(serializers.Serializer[Any]):
    note = serializers.CharField(required=False, default="")
    size = serializers.FloatField(required=False)


class Things(Rows[Bot]):
    acts: ClassVar = {
        "end": Act.END,
        "go": Act.TRADE,
        "manage": Act.MANAGE,
        "secret": Act.OWN,
        "refuse": Act.END,
        "fail": Act.END,
        "later": Act.END,
        "go_refused": Act.TRADE,
        "go_broken": Act.TRADE,
        "go_job": Act.TRADE,
    }
    secret_acts: ClassVar = frozenset({"secret"})
    serializer_class = ThingOut
    filters = ThingFilters
    order: ClassVar = ("name", "id")
    orders: ClassVar = {"created": ("created", "id"), "model": ("model", "id"), "tokens": ("tokens_per_day", "id")}
    csv_columns: ClassVar = ("id", "name", "model", "symbols", "status_reason")
    slow = True

    def rows(self) -> QuerySet[Bot]:
        return self.seen(Bot.objects.all())

    def _done(self, name: str) -> Response:
        bot = self.bot(int(self.kwargs["pk"]))
        note = given(NoteIn, self.request)
        DONE.append(name)
        audit_write(actor=self.person, action=name, obj=bot)
        return Response({"did": name, "note": note["note"]}, headers={"Location": "/there/"})

    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        return self._done("end")

    @action(detail=True, methods=["post"])
    def go(self, request: Request, pk: str) -> Response:
        return self._done("go")

    @action(detail=True, methods=["post"])
    def manage(self, request: Request, pk: str) -> Response:
        return self._done("manage")

    @action(detail=True, methods=["post"])
    def secret(self, request: Request, pk: str) -> Response:
        return self._done("secret")

    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, pk: str) -> Response:
        DONE.append("refuse")
        raise Rejected("It is over already.", code="over")

    @action(detail=True, methods=["post"])
    def fail(self, request: Request, pk: str) -> Response:
        DONE.append("fail")
        raise Retryable("The venue does not answer.")

    @action(detail=True, methods=["post"])
    def later(self, request: Request, pk: str) -> Response:
        DONE.append("later")
        raise RuntimeError("a fault of the code with a secret in it")

    @action(detail=True, methods=["post"])
    def go_refused(self, request: Request, pk: str) -> Response:
        DONE.append("go_refused")
        raise Retryable("So much is being worked on just now.")

    @action(detail=True, methods=["post"])
    def go_broken(self, request: Request, pk: str) -> Response:
        DONE.append("go_broken")
        raise RuntimeError("a fault of the code")

    @action(detail=True, methods=["post"])
    def go_job(self, request: Request, pk: str) -> Response:
        """Do it as a job, which fails with the status that the body names."""
        DONE.append("go_job")
        status = int(given(NoteIn, request)["note"])
        body = {"status": status, "code": "of-the-job", "detail": "The venue does not answer."}
        return Response(body, status=status, headers={"Location": "/api/v1/jobs/1/"})

    @action(detail=True, methods=["post"])
    def unnamed(self, request: Request, pk: str) -> Response:
        return self._done("unnamed")


class Door(Face):
    acts: ClassVar = {"post": Act.OPEN}

    def post(self, request: Request) -> Response:
        return Response({"hello": given(NoteIn, request)["note"]})


router = SimpleRouter()
router.register("things", Things, basename="thing")

urlpatterns = [
    path("api/v1/door/", Door.as_view()),
    path("api/v1/", include(router.urls)),
    path("api/v1/accounts/<int:account_id>/things/", Things.as_view({"get": "list"})),
    re_path(r"^api/(?P<rest>.*)$", views.no_address),
]
handler400, handler403, handler404, handler500 = (views.bad_request, views.forbidden, views.not_found, views.broken)
