"""What the signed-in person was told, and by which ways it reaches that person."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access.acts import Act
from accounts.access.pages import acting
from accounts.forms_alerts import AlertFilter, ChannelForm
from accounts.models import AlertDelivery, User
from accounts.selectors import accounts_of, alerts_of, alerts_with_ways, channels_of
from accounts.services.alerts import alert_acknowledge, alerts_acknowledge
from accounts.services.alerts.channels import channel_delete
from accounts.services.alerts.sending import channel_test
from vibex.lib.errors import Rejected

ON_PAGE = 50


@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    """Show what the person was told, newest first, what is not acknowledged unless all is asked for."""
    chosen = AlertFilter(request.GET, person=_person(request))
    valid = chosen.is_valid()
    shown = alerts_of(request.user).filter(**chosen.lookups) if valid else alerts_of(request.user).none()
    page = Paginator(alerts_with_ways(shown), ON_PAGE).get_page(request.GET.get("page"))
    context = _page(request) | {"filter": chosen, "page": page, "query": request.GET.urlencode()}
    return render(request, "accounts/alerts.html", context, status=200 if valid else 400)


@require_safe
def count(request: HttpRequest) -> HttpResponse:
    """Return the link that stands above every page, with how many are not acknowledged."""
    return render(request, "accounts/alerts_link.html")


@require_POST
@acting(Act.OWN)
def acknowledge(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Note that the person has seen an alert; HTMX gets its line back, and the count above."""
    alert = get_object_or_404(alerts_of(request.user), pk=alert_id)
    alert_acknowledge(alert=alert, actor=_person(request))
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("alerts")
    seen = alerts_with_ways(alerts_of(request.user)).get(pk=alert_id)
    return render(request, "accounts/alerts.html#answer", {"alert": seen})


@require_POST
@acting(Act.OWN)
def acknowledge_all(request: HttpRequest) -> HttpResponse:
    """Note that the person has seen all alerts that were shown, on all pages of the list."""
    chosen = AlertFilter(QueryDict(request.POST.get("query", "")), person=_person(request))
    if chosen.is_valid():
        done = alerts_acknowledge(alerts=alerts_of(request.user).filter(**chosen.lookups), actor=_person(request))
        messages.success(request, f"{done} acknowledged.")
    return redirect("alerts")


@require_http_methods(["GET", "HEAD", "POST"])
@acting(Act.OWN)
def channels(request: HttpRequest) -> HttpResponse:
    """Show where alerts are sent to, and take a new address."""
    form = ChannelForm(request.POST) if request.method == "POST" else ChannelForm()
    if request.method == "POST" and form.is_valid() and (made := form.save(_person(request))):
        messages.success(request, f"{made.name} is stored. Send a test to see that it works.")
        return redirect("alert-channels")
    ways = [(way, AlertDelivery.objects.filter(channel=way).first()) for way in channels_of(request.user)]
    return render(request, "accounts/alert_channels.html", _page(request) | {"channels": ways, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@acting(Act.OWN)
def channel(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Change a channel. Its address is not shown; an empty one keeps what is stored."""
    shown = get_object_or_404(channels_of(request.user), pk=channel_id)
    form = ChannelForm(request.POST if request.method == "POST" else None, channel=shown)
    if request.method == "POST" and form.is_valid() and form.save(_person(request)):
        messages.success(request, f"{shown.name} is changed.")
        return redirect("alert-channels")
    return render(request, "accounts/alert_channel.html", _page(request) | {"channel": shown, "form": form})


@require_POST
@acting(Act.OWN)
def channel_try(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Send a test message at once and show how it went."""
    shown = get_object_or_404(channels_of(request.user).select_related("user"), pk=channel_id)
    delivery, refusal = None, ""
    try:
        delivery = channel_test(channel=shown, actor=_person(request))
    except Rejected as refused:
        refusal = str(refused)
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "accounts/alert_channels.html#outcome", {"last": delivery, "refusal": refusal})
    if delivery is not None and delivery.state == AlertDelivery.State.SENT:
        messages.success(request, f"{shown.name} took the test message.")
    else:
        messages.error(request, f"{shown.name}: {refusal or (delivery.error if delivery else '')}")
    return redirect("alert-channels")


@require_POST
@acting(Act.OWN)
def channel_remove(request: HttpRequest, channel_id: int) -> HttpResponse:
    """Remove a channel of the person."""
    shown = get_object_or_404(channels_of(request.user), pk=channel_id)
    channel_delete(channel=shown, actor=_person(request))
    messages.success(request, f"{shown.name} is removed.")
    return redirect("alert-channels")


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)


def _page(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of the page shows: the way back to the person's first account."""
    return {"account": accounts_of(request.user).order_by("pk").first(), "here": "alerts"}
