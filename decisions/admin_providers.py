"""Admin of the servers that can be asked, and of what their catalogues say."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from accounts.admin import AuditedAdmin
from decisions.domain.providers import ProviderSpec, address_fault, key_fault, name_fault
from decisions.models import CatalogueModel, CatalogueRead, LearnedFormat, Provider
from vibex.lib.admin import HistoryAdmin


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses names that mean something else, addresses in the clear, and keys that belong to another server."""

    class Meta:
        model = Provider
        fields = ("name", "dialect", "base_url", "key_variable", "requests_per_minute", "at_once", "enabled")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return given
        name = given.get("name") or self.instance.name
        spec = ProviderSpec(name, given["dialect"], given["base_url"], given["key_variable"])
        faults = {
            "name": name_fault(name) if "name" in given else "",
            "base_url": address_fault(spec.base_url),
            "key_variable": key_fault(spec, local_url=settings.LLM_BASE_URL or ""),
        }
        for field in ("requests_per_minute", "at_once"):
            if given.get(field) == 0:
                faults[field] = (
                    "At least 1; empty for the usual figure. A provider that is not to be asked is switched off."
                )
        for field, fault in faults.items():
            if fault:
                self.add_error(field, fault)
        return given


@admin.register(Provider)
class ProviderAdmin(AuditedAdmin):
    form = ProviderForm
    list_display = ("name", "dialect", "base_url", "enabled", "key", "models", "read", "fault")
    list_filter = ("dialect", "enabled")
    search_fields = ("name", "base_url")
    actions = ("ask",)
    fieldsets = (
        (
            None,
            {
                "fields": ("name", "dialect", "base_url", "key_variable", "enabled"),
                "description": "OpenRouter, OpenAI, Anthropic, DeepSeek, xAI and Gemini are known without a row: set "
                "their variable. A row of the same name goes before them. The key itself is never entered here.",
            },
        ),
        ("Pace", {"fields": ("requests_per_minute", "at_once")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> tuple[str, ...]:
        return () if obj is None else ("name",)  # bots name it

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        of_name = CatalogueRead.objects.filter(provider=OuterRef("name"))
        listed = CatalogueModel.objects.filter(provider=OuterRef("name"), gone_at=None).order_by()
        counted = listed.values("provider").annotate(count=Count("pk")).values("count")
        rows: QuerySet[Provider] = super().get_queryset(request)
        return rows.annotate(
            read_at=Subquery(of_name.values("at")),
            read_fault=Subquery(of_name.values("fault")),
            listed=Subquery(counted),
        )

    @admin.display(description="key")
    def key(self, row: Provider) -> str:
        from decisions.llm.endpoints import key_in

        if not row.key_variable:
            return "wants none"
        return f"{row.key_variable} {'is set' if key_in(row.key_variable) else 'is not set'}"

    @admin.display(description="models", ordering="listed")
    def models(self, row: Any) -> int:
        return row.listed or 0

    @admin.display(description="read", ordering="read_at")
    def read(self, row: Any) -> str:
        return f"{row.read_at:%Y-%m-%d %H:%M} UTC" if row.read_at else "never"

    @admin.display(description="what went wrong")
    def fault(self, row: Any) -> str:
        return row.read_fault or "–"

    @admin.action(description="Check: read its list of models, which costs nothing", permissions=["change"])
    def ask(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        from decisions.services.catalogue import provider_check

        for provider in providers:
            found = provider_check(provider=provider.name)
            self.message_user(request, found.text, messages.SUCCESS if found.ok else messages.ERROR)


@admin.register(CatalogueModel)
class CatalogueModelAdmin(HistoryAdmin):
    list_display = (
        "slug",
        "provider",
        "title",
        "input_price",
        "output_price",
        "context",
        "max_output",
        "schema",
        "expires",
        "seen_at",
        "gone_at",
    )
    list_filter = ("provider", ("gone_at", admin.EmptyFieldListFilter), ("expires", admin.EmptyFieldListFilter))
    search_fields = ("slug", "title", "provider")

    @admin.display(description="schema", boolean=True)
    def schema(self, row: CatalogueModel) -> bool | None:
        from decisions.domain.catalogue import takes_schema

        return takes_schema(row.supported)


@admin.register(CatalogueRead)
class CatalogueReadAdmin(HistoryAdmin):
    list_display = ("provider", "at", "tried_at", "fault")
    search_fields = ("provider", "fault")


@admin.register(LearnedFormat)
class LearnedFormatAdmin(HistoryAdmin):
    list_display = ("model", "provider", "base_url", "format", "learned_at")
    list_filter = ("format", "provider")
    search_fields = ("model", "provider")
