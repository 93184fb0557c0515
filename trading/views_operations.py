"""What runs here, and how well: for staff all of it, for others what concerns their accounts."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from trading.forms_operations import LogForm
from trading.selectors.operations import MOST, log_of, operations_of
from vibex.lib.logreading import Wanted

LINES_OF_LOG = 100


@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    return render(request, "trading/operations.html", _shown(request))


@require_safe
def operations_live(request: HttpRequest) -> HttpResponse:
    """Return all that moves on the page."""
    return render(request, "trading/operations.html#live", _shown(request))


@require_safe
def operations_log(request: HttpRequest) -> HttpResponse:
    """Show the newest lines of the log that fit. 403 for who may not read it."""
    form = LogForm({"level": "info", **request.GET.dict()})
    asked = form.cleaned_data if form.is_valid() else {}
    wanted = Wanted(level=asked.get("level") or "info", contains=asked.get("contains") or "", limit=LINES_OF_LOG)
    tail = log_of(request.user, wanted)
    if tail is None:
        raise PermissionDenied
    context = {"here": "operations", "form": form, "tail": tail, "wanted": wanted, "now": timezone.now()}
    return render(request, "trading/operations_log.html", context, status=200 if form.is_valid() else 400)


def _shown(request: HttpRequest) -> dict[str, Any]:
    seen = operations_of(request.user, now=timezone.now())
    shown = {"seen": seen, "now": seen.now, "lights": seen.lights, "listens": seen.listens, "most": MOST}
    return shown | {"here": "operations", "unseen_alerts": seen.unseen}
