"""What a person is told when somebody else may be getting in as them."""

from __future__ import annotations

from accounts.domain.alerts import EventType, Severity
from accounts.models import User
from accounts.services.alerts import never_in_the_way
from accounts.services.alerts.raising import person_alert


@never_in_the_way
def token_stolen(*, user: User, what: str) -> None:
    """Tell that a refresh token was used a second time, and what became of it."""
    _tell(
        user,
        f"A refresh token of {what} was used a second time, so somebody may have a copy. That sign-in was ended. If it was "
        "not a program of yours that repeated itself, change your password.",
    )


@never_in_the_way
def codes_guessed(*, user: User) -> None:
    """Tell that codes of the second factor are being tried."""
    _tell(
        user,
        "Many wrong codes of your second factor were given within an hour. If it was not you, somebody may know your "
        "password: change it.",
    )


def _tell(user: User, message: str) -> None:
    person_alert(user=user, type=EventType.ACCESS, severity=Severity.CRITICAL, message=message, subject="access")
