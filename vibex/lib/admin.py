"""What the admin pages of every app share: read-only history and links between rows."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import DateTimeField, DecimalField, Field, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

Column = Callable[[Any], str]


class KeptAdmin(ModelAdmin):
    """Rows that may be made and edited but never deleted: history refers to them."""

    list_per_page = 50
    show_full_result_count = False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [_exactly(self.model, column) for column in super().get_list_display(request)]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class HistoryAdmin(KeptAdmin):
    """Rows that people may read, filter and search, and nothing else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class RelatedFilter(admin.RelatedFieldListFilter):
    """The stock filter by a foreign key, with the rows that are needed to name its choices read at once."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        rows = field.remote_field.model._default_manager.select_related().order_by("pk")
        return [(row.pk, str(row)) for row in rows]


def _exactly(model: type[Model], column: Any) -> Any:
    """Return a column that writes decimals without trailing zeros and times to the second; others as they are."""
    field = next((field for field in model._meta.fields if field.name == column), None)
    writers: dict[type[Field[Any, Any]], Callable[[Any], str]] = {DecimalField: _decimal, DateTimeField: _time}
    writer = next((write for kind, write in writers.items() if isinstance(field, kind)), None)
    if field is None or writer is None:
        return column

    @admin.display(description=field.verbose_name, ordering=field.name)
    def written(row: Model) -> str:
        value = getattr(row, field.name)
        return "–" if value is None else writer(value)

    return written


def _decimal(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _time(value: datetime) -> str:
    return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"


def link(row: Model | None) -> str:
    """Return a link to the admin page of `row`, a dash when there is none."""
    if row is None:
        return "–"
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row)


def link_to(field: str) -> Column:
    """Return a list column that links to the row in the foreign key `field`. The list has to select it."""

    @admin.display(description=field.replace("_", " "), ordering=field)
    def column(row: Model) -> str:
        return link(getattr(row, field))

    return column


def link_to_list(target: type[Model], field: str, title: str) -> Column:
    """Return a list column that links to the rows of `target` whose foreign key `field` is this row."""

    @admin.display(description=title)
    def column(row: Model) -> str:
        url = reverse(f"admin:{target._meta.app_label}_{target._meta.model_name}_changelist")
        return format_html('<a href="{}?{}__id__exact={}">{}</a>', url, field, row.pk, title)

    return column
