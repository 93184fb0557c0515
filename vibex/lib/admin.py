"""What the admin pages of every app share: read-only history and links between rows."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import BooleanField, DateField, DateTimeField, DecimalField, Field, Model
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline

Column = Callable[[Any], str]

_WRITTEN: dict[tuple[Any, Any], Any] = {}


class KeptAdmin(ModelAdmin):
    """Rows that may be made and edited but never deleted: history refers to them."""

    list_per_page = 50
    show_full_result_count = False
    times: str = ""
    """The column by which a list is narrowed to a time. Not Django's hierarchy of dates: that reads the whole table."""

    def get_list_filter(self, request: HttpRequest) -> Any:
        stock = [_bounded(self.model, given) for given in super().get_list_filter(request)]
        return [(self.times, admin.DateFieldListFilter), *stock] if self.times else stock

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns: list[Any] = list(super().get_list_display(request))
        return [_written(self.model, column) for column in columns]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class HistoryAdmin(KeptAdmin):
    """Rows that people may read, filter and search, and nothing else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class _First(BaseInlineFormSet):  # type: ignore[type-arg]
    """The first rows in the order of the inline; the list has all of them."""

    MOST = 100

    def get_queryset(self) -> Any:
        if not hasattr(self, "_shown"):
            self._shown = super().get_queryset()[: self.MOST]
        return self._shown


class HistoryInline(TabularInline):
    """Rows that belong to the row of a page, to look at, each with a link to its own page. `fields` name no foreign keys:
    each of them would be a query for each row.
    """

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = True
    formset = _First

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [_written(self.model, field) for field in self.fields or ()]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_readonly_fields(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RecentFilter(admin.AllValuesFieldListFilter):
    """By the values that the newest rows have; looking for all of them would read the whole table."""

    NEWEST = 2_000

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        newest = model._default_manager.order_by("-pk").values_list(field_path, flat=True)[: self.NEWEST]
        self.lookup_choices: Any = sorted(set(newest), key=lambda value: (value is None, str(value)))


class RelatedFilter(admin.RelatedFieldListFilter):
    """The stock filter by a foreign key, with the rows that are needed to name its choices read at once."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        rows = field.remote_field.model._default_manager.select_related().order_by("pk")
        return [(row.pk, str(row)) for row in rows]


def _bounded(model: Any, given: Any) -> Any:
    """Return a filter of a list as it is; where Django would look for all values of a column, one that does not."""
    field = next((field for field in model._meta.fields if field.name == given), None)
    if field is None or field.is_relation or field.choices or isinstance(field, BooleanField | DateField):
        return given
    return (given, RecentFilter)


def _written(model: Any, column: Any) -> Any:
    """Return a column as `_exactly` does, always the same one: an inline looks for it among those that are read-only."""
    known = _WRITTEN.get((model, column))
    if known is None:
        known = _WRITTEN[model, column] = _exactly(model, column)
    return known


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
