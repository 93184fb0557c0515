"""What is open and what is closed: what each route says to nobody and to strangers, and all that is open, with its reason."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from accounts.models import User
from tests.support.access import confirmed
from tests.support.walk import EVERYBODYS, MARK, METHODS, Route, addresses

OPEN = {
    "api/health/": "a watcher has no account; no detail is told",
    "api/v1/health/live/": "as above",
    "api/v1/health/ready/": "as above",
    "metrics": "asks for METRICS_TOKEN or staff by itself: 401, or 404 where no token is set",
    "api/schema/": "tells of the code and of no data; API_DOCS turns it off",
    "api/docs/": "as above",
    "^docs/?$": "leads there",
    "api/v1/auth/register/": "who registers is not known yet; FEATURE_REGISTRATION turns it off",
    "api/v1/auth/login/": "signs in; tries are counted",
    "api/v1/auth/refresh/": "a program whose access token has ended has its refresh token",
    "api/v1/auth/password/reset/": "for who has forgotten the password; says the same to everybody",
    "api/v1/auth/password/reset/confirm/": "with the token out of the mail",
    "^api/(?P<rest>.*)$": "says that there is no such address",
    "sign-in/": "signs in; tries are counted",
    "register/": "as with the API",
    "password/forgotten/": "as with the API",
    "password/reset/<str:uid>/<str:token>/": "with the token out of the mail",
}
"""All that somebody who is not signed in gets an answer from, and why."""
ADMIN_OPEN = {"admin/login/": "leads to the sign-in", "admin/jsi18n/": "words of the calendar"}


def browser_of(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return confirmed(client)


def send(client: Client, method: str, address: str, **more: Any) -> Any:
    """Call an address as a program does, where it is one of the API; as a form does else."""
    if method != "get" and address.startswith("/api/"):
        more = {"data": "{}", "content_type": "application/json", **more}
    return getattr(client, method)(address, **more)


def said(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode(errors="replace")


def wrong_for_a_stranger(route: Route, method: str, address: str, answer: Any) -> str:
    """Return what is wrong with what somebody was told about something that is another's; nothing when all is well."""
    told = f"{method} {address}: {answer.status_code} {said(answer)[:120]!r}"
    not_ready = answer.status_code == 503 and "/health/" in address
    if (answer.status_code >= 500 and not not_ready) or MARK in said(answer):
        return told
    if not route.objects or route.pattern in EVERYBODYS:
        return ""
    if route.api and answer.status_code != (404 if route.answers(method) else 405):
        return told
    return "" if answer.status_code in (404, 405) else told


def closed(client: Client, route: Route, address: str, methods: tuple[str, ...] = METHODS) -> list[str]:
    wrong = []
    for method in methods:
        answer = send(client, method, address)
        to_sign_in = answer.status_code == 302 and re.match(r"/(sign-in|admin/login)/", answer["Location"])
        if not (answer.status_code in (401, 403) if address.startswith("/api/") else to_sign_in):
            wrong.append(f"{method} {address}: {answer.status_code}")
    return wrong


def seen_wrongly(client: Client, found: list[Route], keys: dict[str, int]) -> list[str]:
    wrong = [
        wrong_for_a_stranger(route, "get", address, client.get(address))
        for route in found
        for address in addresses(route, keys)
    ]
    return [each for each in wrong if each]


NAMING = ("account", "bot", "position", "order", "decision", "cycle", "interaction", "incident", "alert", "instrument")


def word_of(name: str) -> str:
    return "diary" if name == "diary" else f"{name}s"


def _schema() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def parameters() -> list[tuple[str, str]]:
    """Return address and name of each parameter of a query that names an object."""
    return [
        (path, parameter["name"])
        for path, methods in _schema()["paths"].items()
        if "{" not in path and "get" in methods
        for parameter in methods["get"].get("parameters", ())
        if parameter["in"] == "query" and parameter["name"] in NAMING
    ]


def bodies_that_name_an_object() -> list[tuple[str, str]]:
    schema = _schema()
    found = []
    for path, methods in schema["paths"].items():
        for what in methods.values():
            for content in what.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                fields = schema["components"]["schemas"].get(name, content["schema"]).get("properties", {})
                found += [(path, field) for field in fields if field in NAMING]
    return sorted(set(found))
