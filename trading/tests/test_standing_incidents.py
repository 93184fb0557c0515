"""An incident that is open on a symbol bars entries there, until it is resolved."""

import pytest

from accounts.models import Incident
from accounts.services import incident_open, incident_resolve
from trading.services.live import standing_of
from trading.tests.builders import make_bot

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("severity", ["error", "critical"])
def test_an_open_incident_on_a_symbol_bars_entries_there_until_it_is_resolved(severity: str) -> None:
    bot = make_bot(symbols=["BTCUSDT", "ETHUSDT"])
    text = "BTCUSDT: the target was refused."
    incident = incident_open(
        account=bot.account, kind="target-failed", text=text, severity=severity, subject="BTCUSDT"
    )  # fmt: skip
    assert standing_of(bot.account, bot).blocked == {
        "BTCUSDT": "incident target-failed: BTCUSDT: the target was refused"
    }
    incident_resolve(incident=incident)
    assert standing_of(bot.account, bot).blocked == {}


def test_a_warning_another_account_and_what_is_about_no_symbol_bar_nothing() -> None:
    bot, other = make_bot(), make_bot("other")
    warning = Incident.Severity.WARNING
    incident_open(account=bot.account, kind="slow", text="slow", severity=warning, subject="BTCUSDT")
    incident_open(account=bot.account, kind="guard-blind", text="blind", subject="exchange")
    incident_open(account=other.account, kind="target-failed", text="refused", subject="BTCUSDT")
    assert standing_of(bot.account, bot).blocked == {}
