"""How sure a bot said it was, beside what its trades brought."""

from __future__ import annotations

from typing import Final

from django.db.models import DecimalField, ExpressionWrapper, F

from accounts.models import Bot
from trading.domain.calibration import Calibration, calibration_of
from trading.models import Position

MOST: Final = 2_000
"""Closed positions that are looked at, the newest."""


def bot_calibration(bot: Bot) -> Calibration:
    """Return how well the confidence of a bot fitted its newest MOST closed positions. One query.

    A trade won when it brought more than its fees and funding. Positions that no decision with a confidence opened do not
    count.
    """
    net = ExpressionWrapper(F("realised") - F("fees") + F("funding"), output_field=DecimalField())
    rows = Position.objects.filter(bot=bot, closed__isnull=False, decision__confidence__isnull=False)
    told = rows.order_by("-opened", "-id").annotate(net=net).values_list("decision__confidence", "net")[:MOST]
    return calibration_of((confidence, net > 0) for confidence, net in told if confidence is not None)
