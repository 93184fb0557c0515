"""The stock admin of periodic tasks, with one difference: what is done to a bot's row is done to the bot."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_celery_beat.admin import CrontabScheduleAdmin as StockCrontabAdmin
from django_celery_beat.admin import IntervalScheduleAdmin as StockIntervalAdmin
from django_celery_beat.admin import PeriodicTaskAdmin as StockTaskAdmin
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from accounts.access.admin_site import MoneyAdmin, Sent
from accounts.access.pages import real_accounts_exist
from accounts.models import User


class FollowedAdmin(MoneyAdmin, admin.ModelAdmin):  # type: ignore[type-arg]
    """After every write the bots follow their rows, and the person reads what became of it."""

    no_risk = frozenset({"disable_tasks"})

    def touches_real_money(self, request: HttpRequest, sent: Sent) -> bool:
        return real_accounts_exist()  # a row may start a bot, or hold up what watches over all of them

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self._follow(request)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        super().delete_model(request, obj)
        self._follow(request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        self._follow(request)

    def _follow(self, request: HttpRequest) -> None:
        from trading.services.schedule import schedules_sync

        actor = request.user if isinstance(request.user, User) else None
        for note in schedules_sync(actor=actor):
            self.message_user(request, note, messages.WARNING)


for stock in (PeriodicTask, CrontabSchedule, IntervalSchedule):
    admin.site.unregister(stock)


@admin.register(PeriodicTask)
class ScheduleAdmin(FollowedAdmin, StockTaskAdmin):  # type: ignore[misc]
    """Rows of bots can be switched, and given another interval; anything else in them is put back."""

    place = 2
    list_display = ("name", "enabled", "scheduler", "last_run_at", "total_run_count", "description")
    list_filter = ("enabled", "task")
    date_hierarchy = None

    @admin.action(description="Switch on", permissions=["change"])
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().enable_tasks(request, queryset)
        self._follow(request)

    @admin.action(description="Switch off", permissions=["change"])
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().disable_tasks(request, queryset)
        self._follow(request)

    @admin.action(description="Switch over", permissions=["change"])
    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().toggle_tasks(request, queryset)
        self._follow(request)


@admin.register(CrontabSchedule)
class CrontabAdmin(FollowedAdmin, StockCrontabAdmin):  # type: ignore[misc]
    pass


@admin.register(IntervalSchedule)
class IntervalAdmin(FollowedAdmin, StockIntervalAdmin):  # type: ignore[misc]
    pass
