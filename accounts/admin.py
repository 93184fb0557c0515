"""Admin of accounts and limits. People have a module of their own."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest

import accounts.alert_admin
import accounts.people_admin
import accounts.token_admin  # noqa: F401 - all of them register what they hold
from accounts.access.admin_site import MoneyAdmin
from accounts.domain.limit_clashes import cautions
from accounts.domain.limits import DEFAULTS
from accounts.forms import AccountForm, CredentialsForm, CredentialsFormSet
from accounts.models import Account, AuditEntry, Bot, Credentials, Incident, RiskLimits, User
from accounts.services import audit_write, incident_resolve, limits_change
from accounts.services.credentials import credentials_delete, credentials_save
from vibex.lib.account_keys import forms_of
from vibex.lib.admin import HistoryAdmin, KeptAdmin, link_to, link_to_list


class AuditedAdmin(KeptAdmin):
    """Rows whose every change is on record: who changed what from what to what."""

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and not form.changed_data:
            return
        audit_write(
            actor=cast("User", request.user),
            action=f"{obj._meta.model_name}-{'change' if change else 'create'}",
            obj=obj,
            before={name: str(form.initial.get(name)) for name in form.changed_data} if change else {},
            after={name: str(form.cleaned_data[name]) for name in form.changed_data},
        )


class LimitsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Limits as shares of equity. A new account gets its row even when the defaults are left as they are."""

    def has_changed(self) -> bool:
        return self.instance._state.adding or super().has_changed()


FOLDED = ("collapse",)


class LimitsInline(admin.StackedInline):  # type: ignore[type-arg]
    model = RiskLimits
    form = LimitsForm
    min_num = 1
    can_delete = False
    # One field a row: a part that is folded opens for an error only when its fields stand in no tuples.
    fieldsets = tuple(
        (name, {"classes": classes, "fields": fields})
        for name, classes, fields in (
            ("Losses", (), ("daily_loss", "max_drawdown", "risk_per_trade", "equity_floor", "flatten_on_loss")),
            (
                "Size ÷ equity",
                (),
                (
                    "max_leverage",
                    "max_positions",
                    "max_position",
                    "max_group",
                    "max_net",
                    "max_gross",
                    "max_margin_use",
                    "margin_buffer",
                ),
            ),
            ("What may be opened", FOLDED, ("sides", "min_confidence", "traditional", "pyramiding")),
            (
                "Stops and targets",
                FOLDED,
                ("min_stop_distance", "max_stop_distance", "trailing_stop", "min_reward_risk", "target_required"),
            ),
            (
                "The market at entry",
                FOLDED,
                ("max_slippage", "max_spread", "max_mark_gap", "min_depth", "max_funding"),
            ),
            (
                "Pace and pauses",
                FOLDED,
                (
                    "opens_per_hour",
                    "opens_per_day",
                    "min_hold_minutes",
                    "cooldown_minutes",
                    "losing_streak",
                    "losing_pause_minutes",
                ),
            ),
            ("When you are told", FOLDED, ("min_liquidation_distance",)),
        )
    )


class CredentialsInline(admin.StackedInline):  # type: ignore[type-arg]
    """Keys of a live account, to be entered and never to be read."""

    model = Credentials
    form = CredentialsForm
    formset = CredentialsFormSet
    max_num = 1
    extra = 1
    readonly_fields = ("stored",)
    verbose_name_plural = "keys"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        kinds = forms_of(obj.venue) if obj else []
        parts = dict.fromkeys(part.name for form in kinds for part in form.parts)
        return [(None, {"fields": ("stored", "kind", *parts)})]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        # The form makes the fields of its parts by itself: they are none of the table.
        return super().get_formset(request, obj, **{**kwargs, "fields": ("kind",)})

    @admin.display(description="Stored")
    def stored(self, row: Credentials) -> str:
        if row._state.adding:
            return "nothing: the account takes its keys from variables, if there are any"
        parts = ", ".join(f"{name} {value}" for name, value in row.public.items())
        return f"{parts}; entered {row.updated:%Y-%m-%d %H:%M} UTC by {row.updated_by or 'Vibex'}"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.change_credentials")

    has_view_permission = has_delete_permission = has_change_permission

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request)


@admin.display(description="badge", ordering="mode")
def badge(account: Account) -> str:
    return account.badge


@admin.register(Account)
class AccountAdmin(MoneyAdmin, AuditedAdmin):
    group = "Trading"
    place = 0
    form = AccountForm
    to_account = ""
    list_display = (
        "name",
        link_to("owner"),
        "venue",
        badge,
        "state",
        "starting_balance",
        link_to_list(Bot, "account", "bots"),
        link_to_list(Incident, "account", "incidents"),
    )
    list_filter = ("mode", "state", "venue", "network")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__email")
    limits_inline: type[LimitsInline] = LimitsInline
    inlines = (CredentialsInline,)
    fields = (
        ("name", "owner"),
        ("venue", "mode", "network"),
        ("promoted_from", "foreign_positions"),
        ("starting_balance", "time_zone"),
        ("state", "state_reason", "state_since"),
        ("epoch", "halted_at", "created"),
    )
    readonly_fields = ("state", "state_reason", "state_since", "epoch", "halted_at", "created")
    fixed_once_made = ("owner", "venue", "mode", "network", "promoted_from", "starting_balance")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, *self.fixed_once_made)

    def adds_real_money(self, request: HttpRequest) -> bool:
        sent = Account(mode=request.POST.get("mode", ""), network=request.POST.get("network", ""))
        return sent.real

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Leave the keys out where there can be none: on paper, and before the account is made."""
        return (self.limits_inline, *self.inlines) if obj is not None and obj.live else (self.limits_inline,)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        actor = cast("User", request.user)
        changed = formset.save(commit=False)
        if formset.model is Credentials:
            _save_credentials(formset, actor)
            return
        for limits in changed:
            limits_change(limits=limits, actor=actor)
            for caution in cautions(limits.stated() or DEFAULTS):
                messages.warning(request, f"Is it meant like this? {caution.text}")


def _save_credentials(formset: Any, actor: User) -> None:
    for credentials in formset.deleted_objects:
        credentials_delete(credentials=credentials, actor=actor)
    for entered in formset.forms:
        if entered.has_changed() and entered not in formset.deleted_forms:
            credentials_save(account=formset.instance, keys=entered.keys, actor=actor)


@admin.register(Incident)
class IncidentAdmin(MoneyAdmin, HistoryAdmin):
    group = "Operations"
    place = 0
    list_display = ("opened", "severity", "kind", link_to("account"), "text", "resolved")
    list_filter = ("severity", ("resolved", admin.EmptyFieldListFilter), "kind", "account")
    list_select_related = ("account",)
    search_fields = ("kind", "text")
    times = "opened"
    actions = ("resolve",)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_incident")

    @admin.action(description="Resolve", permissions=["resolve"])
    def resolve(self, request: HttpRequest, incidents: QuerySet[Incident]) -> None:
        actor = cast("User", request.user)
        resolved = sum(incident_resolve(incident=incident, actor=actor) for incident in incidents)
        self.message_user(request, f"{resolved} resolved.")


@admin.register(AuditEntry)
class AuditEntryAdmin(HistoryAdmin):
    list_display = ("at", link_to("actor"), "action", "object_type", "object_id", "before", "after")
    list_filter = ("action", "object_type")
    list_select_related = ("actor",)
    search_fields = ("object_id", "action", "actor__email")
    times = "at"


@admin.register(LogEntry)
class LogEntryAdmin(HistoryAdmin):
    """What was edited in the admin itself."""

    list_display = ("action_time", link_to("user"), "content_type", "object_repr", "get_change_message")
    list_filter = ("content_type",)
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__email")
    times = "action_time"
