"""Times are shown in the zone of the person who looks."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

UTC = ZoneInfo("UTC")

type View = Callable[[HttpRequest], HttpResponse]


def user_time_zone(get_response: View) -> View:
    """Activate the time zone of the signed-in person for a page. The API, and an unknown zone, have UTC."""

    def respond(request: HttpRequest) -> HttpResponse:
        with timezone.override(_zone_of(request)):
            return get_response(request)

    return respond


def _zone_of(request: HttpRequest) -> ZoneInfo:
    if request.path.startswith("/api/") or not request.user.is_authenticated:
        return UTC
    try:
        return ZoneInfo(request.user.time_zone)
    except (KeyError, ValueError, OSError):
        return UTC
