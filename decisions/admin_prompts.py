"""Admin of prompt templates, whose versions are added and never changed, and of texts from outside."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.models import User
from decisions.forms import OutsideTextForm, TemplateForm
from decisions.models import OutsideText, PromptTemplate
from decisions.services import outside_text_add, outside_text_end, prompt_template_add
from vibex.lib.admin import KeptAdmin, RelatedFilter, link_to


class AddedAdmin(KeptAdmin):
    """Rows that may be added and never changed; `given` is entered, `known` is what one that is there shows besides."""

    given: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return (*self.given, *(self.known if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.known if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(PromptTemplate)
class PromptTemplateAdmin(AddedAdmin):
    form = TemplateForm
    given = ("name", "text", "note")
    known = ("version", "house", "author", "created")
    list_display = ("name", "version", "note", "house", "author", "created")
    list_filter = ("name", "house")
    list_select_related = ("author",)
    search_fields = ("name", "text", "note")

    def save_model(self, request: HttpRequest, obj: PromptTemplate, form: Any, change: bool) -> None:
        row = prompt_template_add(name=obj.name, text=obj.text, note=obj.note, author=cast("User", request.user))
        obj.pk, obj.version = row.pk, row.version


@admin.register(OutsideText)
class OutsideTextAdmin(AddedAdmin):
    form = OutsideTextForm
    given = ("bot", "source", "text", "until")
    known = ("at", "author")
    list_display = ("at", link_to("bot"), "source", "text", "until", "author")
    list_filter = (("bot", RelatedFilter),)
    list_select_related = ("bot__account", "author")
    search_fields = ("source", "text")
    times = "at"
    actions = ("end",)

    def save_model(self, request: HttpRequest, obj: OutsideText, form: Any, change: bool) -> None:
        row = outside_text_add(
            bot=obj.bot, source=obj.source, text=obj.text, until=obj.until, author=cast("User", request.user)
        )
        obj.pk = row.pk

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("decisions.add_outsidetext")

    @admin.action(description="Show no more from now on", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[OutsideText]) -> None:
        for text in queryset:
            outside_text_end(text=text, actor=cast("User", request.user))
        self.message_user(request, "No prompt shows them any more.", messages.SUCCESS)
