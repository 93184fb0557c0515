"""Who changed what: one's own acts, and all that was done to one's accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.access.views import Rows
from accounts.models import AuditEntry, User
from accounts.selectors import sees_any
from trading.selectors.changes import entries_about, entries_seen
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[AuditEntry]
else:
    ModelOut = serializers.ModelSerializer


class AuditRowOut(ModelOut):
    """Who did what to which object, and by what way. `actor` is empty for Vibex itself."""

    actor = serializers.SlugRelatedField[User](slug_field="email", read_only=True, allow_null=True)
    action = serializers.CharField(read_only=True)
    address = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields: tuple[str, ...] = (
            "id",
            "at",
            "actor",
            "via",
            "address",
            "request_id",
            "action",
            "object_type",
            "object_id",
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.IPAddressField(allow_null=True))
    def get_address(self, entry: AuditEntry) -> str | None:
        """Where from; of what others did only staff is told."""
        person = self.context["request"].user
        return entry.address if entry.actor_id == person.pk or sees_any(person) else None


class AuditOut(AuditRowOut):
    """An entry with what was before and what came of it."""

    before = serializers.DictField()
    after = serializers.DictField()

    class Meta(AuditRowOut.Meta):
        fields = (*AuditRowOut.Meta.fields, "before", "after")
        read_only_fields = fields


class AuditFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="bot_id")
    action = serializers.CharField(required=False)
    object_type = serializers.CharField(required=False)
    object_id = serializers.CharField(required=False)
    request_id = serializers.CharField(required=False)
    mine = serializers.BooleanField(required=False, help_text="Only what you did yourself, or only what others did.")
    since = Moment(source="at__gte")
    until = Moment(source="at__lt")


class AuditViewSet(Rows[AuditEntry]):
    """What you did, and what was done to your accounts, newest first. Staff who may see any see all. Never edited."""

    acts: ClassVar = {}
    filters = AuditFilters
    order = ("-at", "-id")
    orders: ClassVar = {"at": ("at", "id")}

    def rows(self) -> QuerySet[AuditEntry]:
        seen = None if sees_any(self.person) else self.account_ids()
        narrowed = self._asked_by("account") or self._asked_by("bot")
        entries = entries_about(self.person, seen) if narrowed else entries_seen(self.person, seen)
        return entries.defer("before", "after") if self.action == "list" else entries

    def _asked_by(self, name: str) -> bool:
        return name in self.request.query_params or f"{name}_id" in self.kwargs

    def get_serializer_class(self) -> type[AuditRowOut]:
        return AuditRowOut if self.action == "list" else AuditOut
