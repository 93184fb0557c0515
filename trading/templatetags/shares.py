"""How shares, multiples and small sums of US dollars are written, with what they are counted from."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.html import format_html

from decisions.domain.shares import Share
from trading.domain.calibration import Bucket
from trading.templatetags.figures import MINUS, NOTHING

register = template.Library()


@register.simple_tag
def counted(share: Share) -> str:
    """Write a share with its counts and its interval: 71 % (5 of 7, 36 to 92 %)."""
    if share.value is None:
        return NOTHING
    return format_html(
        "{}&nbsp;%<small>{} of {}, {} to {}&nbsp;%</small>",
        f"{share.value * 100:.0f}",
        share.part,
        share.whole,
        f"{share.low * 100:.0f}",
        f"{share.high * 100:.0f}",
    )


@register.simple_tag
def reliability(bucket: Bucket) -> str:
    """Draw how often trades of a bucket won, with the interval, against what was stated. The cells beside it say the same."""
    hits, places = bucket.hits, "{:.1f}"
    return format_html(
        '<svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" y="3" width="100" height="6"/>'
        '<rect class="between" x="{}" y="3" width="{}" height="6"/>'
        '<rect class="rate" x="{}" y="1.5" width="1.2" height="9"/>'
        '<rect class="stated" x="{}" width="0.7" height="12"/></svg>',
        places.format(hits.low * 100),
        places.format((hits.high - hits.low) * 100),
        places.format((hits.value or 0.0) * 98.8),
        places.format(bucket.stated * 99.3),
    )


@register.filter
def multiple(value: float | None) -> str:
    """Write a multiple of what is lost at the stop: +1.50, −1.00."""
    return NOTHING if value is None else f"{value:+.2f}".replace("-", MINUS)


@register.filter
def dollars(value: Decimal | None) -> str:
    """Write US dollars with four decimals: a call to a model costs less than a cent."""
    return NOTHING if value is None else f"${value:,.4f}"
