"""How far the shadows of a bot agree with it, to read."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.selectors import bots_of
from decisions.domain.shares import Share
from decisions.selectors.agreement import Compared, Fared, agreement


class ShadowsView(APIView):
    """Agreement of the last seven days; another owner's bot is not found."""

    def get(self, request: Request, pk: int) -> Response:
        bot = get_object_or_404(bots_of(request.user), pk=pk)
        told = agreement(bot, now=timezone.now())
        shadows = [_compared(each) for each in told.shadows]
        return Response({"since": told.since, "until": told.until, "live": _fared(told.live), "shadows": shadows})


def _compared(each: Compared) -> dict[str, Any]:
    return {
        "model": each.model,
        "answered": _share(each.answered),
        "skipped": each.skipped,
        "same_action": _share(each.actions),
        "same_entry": _share(each.entries),
        "entries": _fared(each.fared),
        "cost": f"{each.cost.normalize():f}",
    }


def _share(share: Share) -> dict[str, Any]:
    return {"part": share.part, "whole": share.whole, "low": round(share.low, 4), "high": round(share.high, 4)}


def _fared(fared: Fared) -> dict[str, Any]:
    return {
        "count": fared.count,
        "ended": fared.ended,
        "net": f"{fared.net.normalize():f}",
        "multiple": None if fared.multiple is None else round(fared.multiple, 4),
    }
