"""All routes of the URL configuration, and addresses of them in which everything that stands for an object is somebody's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.access.acts import Act
from accounts.models import Account, Alert, AlertChannel, ApiKey, AuditEntry, Incident, Job, SignIn
from accounts.services.api_keys import api_key_create
from decisions.models import Decision, DiaryEntry, Interaction
from tests.support.demo import Demo, demo
from trading.models import Fill, Order, Position

METHODS: Final = ("get", "post", "put", "patch", "delete")
MARK: Final = "bobs-secret-book"
"""Stands in everything of Bob's that holds a text."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts/<int:account_id>/acts/<str:act>/": ("close-all", "halt", "resume"),
    "accounts/<int:account_id>/acts/<str:act>/<int:subject>/": (
        "close",
        "move-stop",
        "move-target",
        "cancel",
        "stop-bot",
        "start-bot",
        "decide",
    ),
    "bots/<int:bot_id>/<str:act>/": ("start", "pause", "stop"),
    "decisions/<int:decision_id>/<str:act>/": ("approve", "reject"),
    "cycles/<int:cycle_id>/interactions/<int:interaction_id>/<str:part>/": ("prompt", "reply"),
    "cycles/<int:cycle_id>/interactions/<int:interaction_id>/<str:part>.txt": ("prompt", "reply"),
    "password/reset/<str:uid>/<str:token>/": ("nothing",),
    "prompts/of/<slug:name>/difference/": ("arena",),
    "prompts/of/<slug:name>/<int:version>/": ("arena",),
    "^api/(?P<rest>.*)$": ("nothing/",),
}
"""What stands for a word in an address: routes with one, and the words that there are."""

EVERYBODYS: Final[Mapping[str, str]] = {
    "api/v1/market/^instruments/(?P<pk>[0-9]{1,19})/$": "contracts of the venues are the same for everybody",
    "prompts/of/<slug:name>/<int:version>/": "templates of the house: who trades may read what models are told",
}
"""Routes whose object belongs to nobody, and why."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route, as it stands in the URL configuration."""

    pattern: str
    view: Callable[..., Any]

    @property
    def api(self) -> bool:
        return self.pattern.startswith("api/v1/") and hasattr(self.view, "cls")

    @property
    def admin(self) -> bool:
        return self.pattern.startswith("admin/")

    @property
    def objects(self) -> tuple[tuple[str, str], ...]:
        """Return word and name of each number in it: (accounts, account_id)."""
        return tuple(_NUMBER.findall(self.pattern))

    @property
    def acts(self) -> Mapping[str, Act | None]:
        """Return what each method that changes something does, of a view of the API; None where it does not say."""
        view: Any = self.view
        actions = getattr(view, "actions", None) or {name: name for name in METHODS if hasattr(view.cls, name)}
        return {method: view.cls.acts.get(name) for method, name in actions.items() if method not in ("get", "head")}

    def answers(self, method: str) -> bool:
        """Return whether its view, one of the API, has an answer to a method."""
        view: Any = self.view
        return method in (getattr(view, "actions", None) or ()) or (
            not getattr(view, "actions", None) and hasattr(view.cls, method)
        )


_NUMBER: Final = re.compile(r"\^?([a-z-]+)/(?:<int:|\(\?P<)(\w+)>(?!\.\*)")
_ONE: Final = re.compile(r"<int:\w+>|\(\?P<\w+>[^()]*\)")


def routes(patterns: list[Any] | None = None, before: str = "") -> Iterator[Route]:
    """Yield every route of the installation. The same with a suffix for the format, which routers add, comes once."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        pattern = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, pattern)
        elif isinstance(each, URLPattern) and "<format>" not in pattern and not pattern.startswith("__"):
            yield Route(pattern, each.callback)


def own_routes() -> list[Route]:
    """Return every route outside the admin."""
    return [route for route in routes() if not route.admin]


def addresses(route: Route, keys: Mapping[str, int]) -> list[str]:
    """Return addresses of a route outside the admin with somebody's objects in it. Raises LookupError where none is known."""
    path = route.pattern
    if path not in EVERYBODYS:
        for word, name in route.objects:
            if word not in keys:
                raise LookupError(f"{path}: a new route without a rule: whose is <{name}>?")
            path = _ONE.sub(str(keys[word]), path, count=1)
    if "<str:" in path or "<slug:" in path or ".*" in path:
        if route.pattern not in WORDS:
            raise LookupError(f"{path}: a new route without a rule: which words are there?")
        return [_plain(re.sub(r"<(?:str|slug):\w+>|\(\?P<\w+>\.\*\)", word, path)) for word in WORDS[route.pattern]]
    return [_plain(path)]


def admin_address(route: Route) -> str:
    """Return the address of a route of the admin with the first row of its model."""
    parts = route.pattern.split("/")
    key = 0
    if len(parts) > 3 and parts[1] != "password_change":
        row = (
            apps.get_model(parts[1], parts[2])._default_manager.first() if parts[1] != "r" else Account.objects.first()
        )
        key = row.pk if row else 0
    path = route.pattern.replace("<path:content_type_id>", str(ContentType.objects.get_for_model(Account).pk))
    path = re.sub(r"\(\?P<app_label>[^)]*\)", "accounts", path)
    path = re.sub(r"\(\?P<url>[^)]*\)", "nothing", path)
    return _plain(re.sub(r"<(?:\w+:)?\w+>", str(key), path))


def _plain(path: str) -> str:
    path = re.sub(r"<int:\w+>|\(\?P<\w+>[^()]*\)", "1", path)
    return "/" + path.replace("^", "").replace("$", "").replace("/?", "/").replace("\\", "")


def bobs_house(**options: Any) -> Demo:
    """Write somebody who has something of everything, with `MARK` in every text of it."""
    bob = demo("bob@vibex.local", name=MARK, cycles=3, equity_points=5, **options)
    AuditEntry.objects.update(action=MARK)
    Alert.objects.update(message=MARK)
    Incident.objects.update(text=MARK)
    AlertChannel.objects.filter(name="desk").update(name=MARK)
    bob.account.bots.update(name=MARK, status_reason=MARK)
    DiaryEntry.objects.update(text=MARK)
    Decision.objects.update(justification=MARK)
    Interaction.objects.update(reply=MARK, user_prompt=MARK, template=MARK)
    Order.objects.update(exchange_id=MARK)
    Fill.objects.filter(pk=Fill.objects.first().pk).update(exchange_trade_id=MARK)  # type: ignore[union-attr]
    Job.objects.create(
        owner=bob.user,
        kind=MARK,
        account=bob.account,
        bot=bob.bot,
        status="done",
        ended=timezone.now(),
        alive_until=timezone.now(),
    )
    SignIn.objects.create(user=bob.user, kind="tokens", agent=MARK)
    api_key_create(user=bob.user, name=MARK, scopes=["read"], expires=None, actor=bob.user)
    return bob


def keys_of(bob: Demo) -> dict[str, int]:
    """Return an object of everything of somebody's, by the word that stands before its number in an address."""
    interaction = Interaction.objects.filter(bot=bob.bot).latest("pk")
    waiting = Decision.objects.filter(bot=bob.bot, approval__isnull=False).latest("pk")
    return {
        "accounts": bob.account.pk,
        "alerts": Alert.objects.filter(user=bob.user).latest("pk").pk,
        "approvals": waiting.pk,
        "audit": AuditEntry.objects.filter(actor=bob.user).latest("pk").pk,
        "balance": bob.account.pk,
        "bots": bob.bot.pk,
        "channels": AlertChannel.objects.filter(user=bob.user).latest("pk").pk,
        "cycles": interaction.cycle_id,
        "decisions": waiting.pk,
        "done": Job.objects.filter(account=bob.account).latest("pk").pk,
        "diary": DiaryEntry.objects.filter(bot=bob.bot).latest("pk").pk,
        "incidents": Incident.objects.filter(account=bob.account).latest("pk").pk,
        "interactions": interaction.pk,
        "moment": waiting.pk,
        "jobs": Job.objects.filter(owner=bob.user).latest("pk").pk,
        "keys": ApiKey.objects.filter(user=bob.user).latest("pk").pk,
        "now": bob.bot.pk,
        "orders": Order.objects.filter(account=bob.account).latest("pk").pk,
        "positions": Position.objects.filter(account=bob.account, closed__isnull=True).latest("pk").pk,
        "sign-ins": SignIn.objects.filter(user=bob.user).latest("pk").pk,
        "trades": Fill.objects.filter(account=bob.account).latest("pk").pk,
    }


NOT_BOOKS: Final = {"AuditEntry", "SignIn", "ApiCall", "Session", "LogEntry", "ApiKey"}
"""Tables that say that somebody called."""


def books() -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table of ours, but of those that say that somebody called."""
    ours = [
        model
        for model in apps.get_models()
        if model._meta.app_label in ("accounts", "decisions", "marketdata", "trading")
    ]
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in ours
        if model.__name__ not in NOT_BOOKS
    }
