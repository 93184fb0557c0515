"""Orders that are known again by their names, after the books that knew them were lost. Pure."""

from __future__ import annotations

import re
from typing import Final

from decisions.domain.portfolio import Role
from trading.domain.venue import OrderReport, OrderType

_RANDOM: Final = re.compile(r"[a-z2-7]{26}")
_ROLES: Final = {OrderType.STOP_MARKET: Role.STOP, OrderType.TAKE_PROFIT_MARKET: Role.TARGET}


def made_by(client_order_id: str, installation: str) -> bool:
    """Tell whether a client order id has the form of those that an installation makes (`new_client_order_id`)."""
    mark = f"vx{installation}"
    return client_order_id.startswith(mark) and _RANDOM.fullmatch(client_order_id, len(mark)) is not None


def role_of(report: OrderReport) -> Role:
    """Return for what Vibex sends an order of this kind: it sends none of them for anything else."""
    lowers = report.reduce_only or report.close_position
    return _ROLES.get(report.type) or (Role.CLOSE if lowers else Role.ENTRY)
