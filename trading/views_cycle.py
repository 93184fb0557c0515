"""The page of a decision, and the long texts behind it. Whatever is another's is not found."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from trading.pages import page_of
from trading.selectors.cycle_text import PARTS, as_file, interaction_to_show, shown
from trading.selectors.moment import moment_figure
from trading.selectors.trace import cycle_to_show, trace_of


@require_safe
def cycle(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """Show one decision from the question to the result."""
    found = cycle_to_show(request.user, cycle_id)
    if found is None:
        raise Http404
    return render(request, "trading/cycle.html", page_of(request, found.account) | {"trace": trace_of(found)})


@require_safe
def moment(request: HttpRequest, cycle_id: int, decision_id: int) -> HttpResponse:
    """Return candles around an entry, what it asked for and what came after, as a plotly figure."""
    figure = moment_figure(request.user, cycle_id, decision_id)
    if figure is None:
        raise Http404
    return JsonResponse(figure)


@require_safe
def cycle_text(request: HttpRequest, cycle_id: int, interaction_id: int, part: str) -> HttpResponse:
    """Show prompt, reasoning or raw reply of a request; HTMX gets the text alone."""
    row = interaction_to_show(request.user, cycle_id, interaction_id)
    if row is None or row.cycle is None or part not in PARTS:
        raise Http404
    context = {"interaction": row, "cycle": row.cycle, "part": part, "shown": shown(row, part)}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "trading/cycle_text.html#text", context)
    return render(request, "trading/cycle_text.html", page_of(request, row.cycle.account) | context)


@require_safe
def cycle_file(request: HttpRequest, cycle_id: int, interaction_id: int, part: str) -> HttpResponse:
    """Return prompt, reasoning or raw reply of a request as a file of plain text."""
    row = interaction_to_show(request.user, cycle_id, interaction_id)
    if row is None or part not in PARTS:
        raise Http404
    name = f"cycle-{cycle_id}-interaction-{interaction_id}-{part}.txt"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(as_file(row, part), content_type="text/plain; charset=utf-8", headers=headers)
