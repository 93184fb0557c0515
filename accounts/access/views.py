"""What every address of the API is made of: `Face` for one thing, `Rows` for lists and their single rows.

A view says what it does (`acts`), where its rows come from (`rows`) and how they may be narrowed and ordered; who may
call, pages, filters, order, sparse fields, CSV, repeated calls and the record of acting calls are the same everywhere.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, cast

from django.core.exceptions import SuspiciousOperation
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import Http404, HttpResponseBase
from django.http.request import HttpRequest
from django.shortcuts import get_object_or_404
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ReadOnlyModelViewSet

from accounts.access.acts import Access, Act
from accounts.access.calls import call_recorded
from accounts.access.idempotency import answered_once
from accounts.access.throttles import call_counted
from accounts.models import Account, Bot, User
from accounts.selectors import accounts_seen_by, sees_any
from vibex.lib.api import Filters, filtered
from vibex.lib.api.answers import finished
from vibex.lib.api.exports import CsvRenderer, csv_answer
from vibex.lib.api.lines import line_of, teller_of
from vibex.lib.api.parsing import odd_query_refused
from vibex.lib.api.reading import refuse_unknown
from vibex.lib.api.sparse import FIELDS, fields_narrowed, wanted_fields
from vibex.lib.requests import acting_by

FOR_ONE: frozenset[str] = frozenset({"fields", "format"})
"""What the query of a single row may hold."""


class Face(APIView):
    """One address."""

    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    acts: ClassVar[Mapping[str, Act]] = {}
    """What each change does, by the name of the action (`close`) or of the method (`post`)."""
    secret_acts: ClassVar[frozenset[str]] = frozenset()
    """Those of them whose answer holds a secret: it is shown once, also to a caller that repeats itself."""
    slow: ClassVar[bool] = False
    """Whether what is told moves slowly: it carries an ETag, and a caller that has it already gets 304."""
    acted_on: Model | None = None
    """The row that an acting call looked up first."""
    _accounts: Mapping[int, Account] | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As in the framework; besides, what acts is done once (`Idempotency-Key`) and is on record, also where it was refused."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            response = self._answer()
        except Exception:
            call_recorded(self, HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        call_recorded(self, response.status_code, _code_of(response))
        self.response = self.finalize_response(self.request, response, *args, **kwargs)
        return self.response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the call in or raise. Counted first: what is refused counts too."""
        self.format_kwarg = None
        request.version = request.versioning_scheme = None
        try:
            if request.method not in SAFE_METHODS:
                _ = request._request.body  # refuses what is too large, and can be read again from here on
            self.perform_authentication(request)
        except (exceptions.APIException, SuspiciousOperation):
            request._not_authenticated()  # type: ignore[attr-defined]
            call_counted(request, self)
            raise
        if isinstance(request.auth, Access):
            acting_by(request.auth.via)
        call_counted(request, self)
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        odd_query_refused(request, kwargs)
        self.check_permissions(request)

    def check_object_permissions(self, request: Request, obj: Any) -> None:
        if self.acted_on is None and isinstance(obj, Model):
            self.acted_on = obj
        super().check_object_permissions(request, obj)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        finished(request, response, self.get_renderers(), slow=self.slow)
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def act_name(self) -> str:
        """Name by which `acts` has what this call does."""
        return getattr(self, "action", None) or (self.request.method or "").lower()

    def _answer(self) -> Response:
        try:
            self.initial(self.request, *self.args, **self.kwargs)
            return answered_once(self, self._handled)
        except Exception as fault:  # noqa: BLE001 - what is no answer is raised again
            return self.handle_exception(fault)

    def _handled(self) -> Response:
        method = (self.request.method or "").lower()
        there = method in self.http_method_names
        handler = getattr(self, method, self.http_method_not_allowed) if there else self.http_method_not_allowed
        try:
            return cast("Response", handler(self.request, *self.args, **self.kwargs))
        except Exception as fault:  # noqa: BLE001 - as above
            return self.handle_exception(fault)

    @property
    def person(self) -> User:
        """Who calls. Only behind `Closed`."""
        return cast("User", self.request.user)

    def accounts_seen(self) -> Mapping[int, Account]:
        """Return the accounts that the person may see, with what their badge is made of. Asked for once a request.

        Below `bots/<bot_id>/` each says whether the bot is on it (`has_bot`).
        """
        if getattr(self, "swagger_fake_view", False):  # the schema is asked for by nobody, and needs no database
            return {}
        if self._accounts is None:
            accounts = accounts_seen_by(self.person).only("id", "mode", "network", "venue")
            if "bot_id" in self.kwargs:
                bots = Bot.objects.filter(pk=self.kwargs["bot_id"], account=OuterRef("pk"))
                accounts = accounts.annotate(has_bot=Exists(bots))
            self._accounts = {account.pk: account for account in accounts}
        return self._accounts

    def account_ids(self) -> Sequence[int]:
        """Return the keys of the accounts that the person may see."""
        return builtins.list(self.accounts_seen())

    def seen[Q: QuerySet[Any]](self, rows: Q, column: str = "account_id") -> Q:
        """Return those of `rows` that hang on an account that the person may see; all of them for staff that may see any."""
        if sees_any(self.person):
            return rows
        return rows.filter(**{f"{column}__in": self.account_ids()})

    def account_id(self, pk: int) -> int:
        """Return the key of an account that the person may see, without reading the account; 404 for another."""
        if pk not in self.account_ids():
            raise Http404
        return pk

    def account_of_bot(self) -> int:
        """Return the key of the account of the bot in the address, without reading the bot; 404 for another's."""
        for pk, account in self.accounts_seen().items():
            if account.has_bot:  # type: ignore[attr-defined]
                return pk
        raise Http404

    def account(self, pk: int, *, for_change: bool = True) -> Account:
        """Return an account that the person may see, with its limits; 404 for another. Checks the rules for this act."""
        found = get_object_or_404(accounts_seen_by(self.person).select_related("limits", "owner"), pk=pk)
        if for_change:
            self.check_object_permissions(self.request, found)
        return found

    def bot(self, pk: int, *, for_change: bool = True) -> Bot:
        """Return a bot on an account that the person may see, with the account; 404 for another. Checks as above."""
        bots = Bot.objects.filter(account__in=accounts_seen_by(self.person)).select_related("account__owner")
        found = get_object_or_404(bots, pk=pk)
        if for_change:
            self.check_object_permissions(self.request, found)
        return found


class Rows[M: Model](Face, ReadOnlyModelViewSet):  # type: ignore[type-arg]
    """A list, and one row of it by its id. Below `accounts/<account_id>/` or `bots/<bot_id>/` only what belongs to that."""

    filters: ClassVar[type[Filters]]
    order: ClassVar[tuple[str, ...]] = ("-id",)
    """Newest first as a rule; ends with a column that is unique."""
    orders: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other orders by the name that `ordering` gives; `-name` turns one around."""
    lookup_value_regex = r"[0-9]{1,19}"
    of_account: ClassVar[str] = "account_id"
    of_bot: ClassVar[str] = "bot_id"
    """Columns by which a row belongs to an account and a bot."""
    csv_columns: ClassVar[Sequence[str]] = ()
    """Fields that an export has; none: no export."""

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page, or all rows as a table (`format=csv`)."""
        if request.accepted_renderer.format != CsvRenderer.format:
            page = self.paginate_queryset(self.get_queryset()) or []
            return self.get_paginated_response(self.lines(page))
        columns = wanted_fields(request, list(self.csv_columns))
        name = self.request._request.path.strip("/").rpartition("/")[2]
        # What it returns is streamed, not rendered.
        return cast("Response", csv_answer(request, self.get_queryset(), super().get_serializer(), columns, name))

    def lines(self, rows: Iterable[Any]) -> builtins.list[Any]:
        """Return rows as they are told."""
        if FIELDS in self.request.query_params:
            return builtins.list(map(line_of(self.get_serializer()), rows))
        return builtins.list(map(line_of(teller_of(self.get_serializer_class(), self.get_serializer_context())), rows))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one row."""
        refuse_unknown(set(request.query_params), set(FOR_ONE), "parameter")
        return super().retrieve(request, *args, **kwargs)

    def get_renderers(self) -> builtins.list[BaseRenderer]:
        """Return how answers can be written: a list that has columns, as a table too."""
        renderers = super().get_renderers()
        return [*renderers, CsvRenderer()] if self.csv_columns and self.action == "list" else renderers

    def rows(self) -> QuerySet[M]:
        """Return everything that the person may see, with what the serializer reads."""
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[M]:
        rows = self.rows()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        if (account_id := self.kwargs.get("account_id")) is not None:
            rows = rows.filter(**{self.of_account: self.account_id(account_id)})
        if (bot_id := self.kwargs.get("bot_id")) is not None:
            self.account_of_bot()
            rows = rows.filter(**{self.of_bot: bot_id})
        if self.action != "list":
            return rows
        return filtered(rows, self.filters, self.request).order_by(*self.order_of(self.request))

    def get_serializer(self, *args: Any, **options: Any) -> BaseSerializer[Any]:
        """Return what tells the rows, without the fields that were not asked for (`fields`)."""
        serializer = super().get_serializer(*args, **options)
        return fields_narrowed(serializer, self.request) if self.action in ("list", "retrieve") else serializer

    def order_of(self, request: Request) -> tuple[str, ...]:
        """Return the order that is asked for. Raises ValidationError (400) for one that there is not."""
        wanted = request.query_params.get("ordering", "")
        if not wanted:
            return self.order
        columns = self.orders.get(wanted.removeprefix("-"))
        if columns is None:
            there = ", ".join(f"{name}, -{name}" for name in self.orders) or "no other"
            raise exceptions.ValidationError({"ordering": [f"There is no such order. There is {there}."]})
        return tuple(map(_turned, columns)) if wanted.startswith("-") else columns


def _turned(column: str) -> str:
    return column.removeprefix("-") if column.startswith("-") else f"-{column}"


def _code_of(response: HttpResponseBase) -> str:
    """Return the code of the problem that an answer tells; nothing for one that tells none."""
    data = getattr(response, "data", None)
    return (
        str(data.get("code", "")) if response.status_code >= HTTPStatus.BAD_REQUEST and isinstance(data, dict) else ""
    )
