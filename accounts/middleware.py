"""Times are shown in the zone of the person who looks."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

type View = Callable[[HttpRequest], HttpResponse]


def user_time_zone(get_response: View) -> View:
    """Activate the time zone of the signed-in person for the length of the request; an unknown zone is UTC."""

    def respond(request: HttpRequest) -> HttpResponse:
        with timezone.override(_zone_of(request)):
            return get_response(request)

    return respond


def _zone_of(request: HttpRequest) -> ZoneInfo:
    try:
        return ZoneInfo(request.user.time_zone) if request.user.is_authenticated else ZoneInfo("UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
