"""The diary of bots: what they saw, thought and did, in sentences; searched by words, and written into by people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final, cast

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Rows
from accounts.models import Bot
from decisions.api.said import Said, SaidData
from decisions.models import DiaryEntry
from decisions.services.notes import LONGEST, note_write
from trading.selectors import diary as diaries
from vibex.lib.api import Filters, given
from vibex.lib.api.exports import CsvRenderer
from vibex.lib.api.inputs import Form
from vibex.lib.api.paging import CURSOR, Pages, cursor_read, no_cursor
from vibex.lib.api.query import LARGEST_KEY, Moment, RowId
from vibex.lib.errors import Rejected

NEWEST_FIRST: Final = ("-at", "-id")


class DiaryOut(serializers.ModelSerializer[DiaryEntry]):
    """A line of a diary. `at` is market time."""

    account = serializers.IntegerField(source="account_id", read_only=True)
    text = Said()
    data = SaidData()  # type: ignore[assignment]

    class Meta:
        model = DiaryEntry
        fields = ("id", "account", "bot", "cycle", "at", "kind", "symbol", "text", "data")
        read_only_fields = fields


class Words(serializers.CharField):
    """Words of a search. They narrow by no column: whoever reads them looks by himself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "source": "*", "max_length": diaries.LONGEST, **options})

    def to_internal_value(self, data: Any) -> Any:
        try:
            diaries.words_of(super().to_internal_value(data))
        except Rejected as refusal:
            raise serializers.ValidationError(str(refusal)) from None
        return {}


class DiaryFilters(Filters):
    account = RowId(source="bot__account_id")
    bot = RowId(source="bot_id")
    cycle = RowId(source="cycle_id")
    symbol = serializers.CharField(required=False)
    kind = serializers.ChoiceField(DiaryEntry.Kind.choices, required=False)
    since = Moment(source="at__gte", help_text="From this moment on, market time.")
    until = Moment(source="at__lt", help_text="Before this moment, market time.")
    q = Words(
        help_text=(
            f"Words that all stand in the text or the symbol, in any case; several in quotes are one. At most {diaries.WORDS}. "
            f"A page looks through about {diaries.LOOKED:,} lines, the newest first: it may hold fewer rows than asked for, or "
            "none, and `next` looks further back."
        )
    )


class DiaryViewSet(Rows[DiaryEntry]):
    """The diary, newest first."""

    serializer_class = DiaryOut
    filters = DiaryFilters
    order = NEWEST_FIRST
    orders: ClassVar = {"at": ("at", "id")}
    of_account = "bot__account_id"
    csv_columns = ("id", "at", "account", "bot", "cycle", "kind", "symbol", "text")

    def rows(self) -> QuerySet[DiaryEntry]:
        rows = self.seen(DiaryEntry.objects.all(), "bot__account_id").annotate(account_id=F("bot__account_id"))
        return diaries.with_words(rows, self._sought())

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page, or all rows as a table (`format=csv`). A page of a search looks as far back as one on the desk."""
        if not self._sought() or request.accepted_renderer.format == CsvRenderer.format:
            return super().list(request, *args, **kwargs)
        rows = self.get_queryset()  # says first what does not fit
        if self.order_of(request) != NEWEST_FIRST:
            raise serializers.ValidationError({"ordering": ["A search goes from the newest line to older ones."]})
        floor = self._floor()
        page = self.paginate_queryset(rows if floor is None else rows.filter(at__gte=floor)) or []
        answer = self.get_paginated_response(self.lines(page))
        answer.data["previous"] = None
        if floor is not None and answer.data["next"] is None:
            answer.data["next"] = cast("Pages", self.paginator).link_to((floor, 0))
        return answer

    def _sought(self) -> tuple[str, ...]:
        """Return the words that are looked for; none where nobody asks."""
        fake = getattr(self, "swagger_fake_view", False)
        return () if fake or self.action != "list" else _words(self.request.query_params.get("q", ""))

    def _floor(self) -> datetime | None:
        """Return down to which time this page of a search looks; None: to the beginning."""
        reading = DiaryFilters(data={name: value for name, value in self.request.query_params.items() if value})
        reading.is_valid(raise_exception=True)
        told = reading.validated_data
        bots = self.seen(Bot.objects.all())
        for column, value in (
            ("account", self.kwargs.get("account_id")),
            ("account", told.get("bot__account_id")),
            ("pk", self.kwargs.get("bot_id")),
            ("pk", told.get("bot_id")),
        ):
            bots = bots if value is None else bots.filter(**{column: value})
        times = {"since": told.get("at__gte"), "until": told.get("at__lt")}
        keys = list(bots.order_by().values_list("pk", flat=True))
        return diaries.floor_of(keys, diaries.Wanted(before=self._place(), **times))

    def _place(self) -> tuple[datetime, int] | None:
        """Return where this page begins, as `next` of the one before has it. Raises ValidationError (400) for another."""
        back, edge = cursor_read(self.request.query_params.get(CURSOR), len(NEWEST_FIRST))
        if edge is None:
            return None
        try:
            at, key = datetime.fromisoformat(edge[0]), int(edge[1])
        except (TypeError, ValueError, OverflowError):
            raise no_cursor() from None
        if back or at.tzinfo is None or not 0 <= key <= LARGEST_KEY:
            raise no_cursor()
        return at, key


class NoteIn(Form):
    """A note. It stays, with your name and the market's time; nobody edits or removes it, and no model reads it."""

    text = serializers.CharField(max_length=LONGEST, help_text="Plain text.")
    symbol = serializers.CharField(
        required=False, allow_blank=True, max_length=30, default="", help_text="One that the bot trades."
    )


class BotDiaryViewSet(DiaryViewSet):
    """The diary of one bot, which people write into."""

    acts: ClassVar = {"create": Act.NOTE}

    @extend_schema(request=NoteIn, responses={201: DiaryOut})
    def create(self, request: Request, bot_id: int) -> Response:
        """Write a note into the diary of a bot."""
        bot = self.bot(bot_id)
        told = given(NoteIn, request)
        try:
            entry = note_write(bot=bot, author=self.person, **told)
        except Rejected as refusal:
            raise serializers.ValidationError({refusal.code: [str(refusal)]}) from None
        entry.account_id = bot.account_id  # type: ignore[attr-defined]
        return Response(DiaryOut(entry).data, status=status.HTTP_201_CREATED)


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a search. Raises ValidationError (400) for too many."""
    try:
        return diaries.words_of(text)
    except Rejected as refusal:
        raise serializers.ValidationError({"q": [str(refusal)]}) from None
