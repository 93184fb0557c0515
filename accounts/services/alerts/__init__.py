"""What people are told: the writer of alerts, the ways to a person, and what leaves over them."""

from accounts.services.alerts.raising import (
    alert_acknowledge,
    alert_raise,
    alerts_acknowledge,
    installation_alert,
    never_in_the_way,
)

__all__ = ["alert_acknowledge", "alert_raise", "alerts_acknowledge", "installation_alert", "never_in_the_way"]
