"""Messages over apprise, which knows how each messenger wants to be asked. Imported when something is to be sent.

An address is a secret as a whole: it holds tokens and passwords. Apprise's own log would write them and is kept from it;
what it complains of comes back masked, as the reason why a message was not sent.
"""

from __future__ import annotations

import difflib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

from accounts.domain.alerts import LONGEST_ERROR, Severity, cut, is_private
from accounts.services.alerts.confined import Confined, confined
from vibex.lib.errors import Rejected
from vibex.lib.masking import mask_text, register_secret, register_url

LONGEST_ADDRESS: Final = 2000
CONNECT_SECONDS, ANSWER_SECONDS = 8.0, 10.0
OF_THIS_MACHINE: Final = frozenset({"dbus", "glib", "gnome", "macosx", "windows", "syslog", "blink1", "vapid"})
"""Plugins that show something on this machine, write to its log, or live by files on it."""
OURS_TO_DECIDE: Final = (
    "retry",
    "wait",
    "optional",
    "template",
    "attach",
    "keyfile",
    "subfile",
    "store",
    "tz",
    "emojis",
    "overflow",
)
"""What an address may not say: trying again is our own work, and files are not read for it."""
HIDDEN_PATH: Final = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "ntfy", "ntfys"})
"""Kinds whose path is as good as a password."""
NOTICE: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.ERROR: "failure"}
_PIECE = re.compile(r"[^\s/?&=:@#,]+")


@dataclass(frozen=True, slots=True)
class Address:
    """An address that can be used: what it is, and what of it may be shown."""

    kind: str
    shown: str
    url: str = field(repr=False)


def address_read(url: str, *, private: bool) -> Address:
    """Return an address after a look at its form. `private`: it may name this machine or a private network.

    Raises Rejected that says what is wrong; nothing is asked for it.
    """
    url = url.strip()
    if not url or len(url) > LONGEST_ADDRESS or re.search(r"[\s\x00-\x1f]", url) or "://" not in url:
        raise Rejected(
            "An address is one line like mailto://user:password@example.com or tgram://token/chat.", code="url"
        )
    secrets_register(url)
    kind, plugin = _plugin(url, private=private)
    if not private:
        _refuse_private(plugin)
    shown = str(plugin.url(privacy=True)).partition("?")[0]
    if kind in HIDDEN_PATH and shown.count("/") > 2:
        shown = "/".join([*shown.split("/")[:3], "…"])
    return Address(kind, cut(mask_text(shown), 120), url)


def message_send(url: str, *, title: str, body: str, severity: Severity, private: bool) -> str:
    """Send one message. Returns nothing when it was accepted, else why not, without secrets."""
    secrets_register(url)
    with _complaints() as complaints, confined(private=private) as limits:
        try:
            _, plugin = _plugin(url, private=private)
            plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, CONNECT_SECONDS)
            plugin.socket_read_timeout = min(plugin.socket_read_timeout, ANSWER_SECONDS)
            notice = NOTICE.get(severity, "failure")
            sent = plugin.notify(title=mask_text(title), body=mask_text(body), notify_type=notice, body_format="text")
        except Rejected as fault:
            return str(fault)
        except Exception as fault:  # noqa: BLE001 - two hundred plugins, and each may raise anything
            sent = False
            complaints.append(str(fault) or type(fault).__name__)
    if sent:
        return ""
    return cut(mask_text(limits.refused or " ".join(complaints[-2:]) or "It was not accepted."), LONGEST_ERROR)


def secrets_register(url: str) -> None:
    """Mask an address, and what in it looks like a token or stands for a password, wherever it turns up from now on."""
    register_secret(url)
    with suppress(ValueError):  # what is no address in the strict sense has no password that could be told apart
        register_url(url)
    for piece in _PIECE.findall(url.partition("://")[2]):
        if _like_a_token(unquote(piece)):
            register_secret(unquote(piece))
            register_secret(piece)


def _like_a_token(piece: str) -> bool:
    mixed = any(mark.isdigit() for mark in piece) and any(mark.isalpha() for mark in piece)
    return "." not in piece and (len(piece) >= 20 or (len(piece) >= 9 and mixed))


def _plugin(url: str, *, private: bool) -> tuple[str, Any]:
    """Return the kind of an address and what sends to it. Raises Rejected that says what is wrong with it."""
    from apprise import Apprise, AppriseAsset
    from apprise.plugins import url_to_dict

    plugins = _plugins()
    with _complaints():
        parts = url_to_dict(url)  # type: ignore[no-untyped-call]
    schema = url.partition("://")[0].lower()
    if not parts:
        if schema in plugins.schemas():
            raise Rejected(f"Parts of the {schema} address are missing or wrong. {_form(plugins[schema])}", code="url")
        raise Rejected(_unknown(schema, plugins.schemas()), code="url")
    kind = plugins[parts["schema"]]
    if kind.__module__.split(".")[2] in OF_THIS_MACHINE:
        raise Rejected(
            f"{schema}:// shows messages on the server itself: only what reaches a person is sent.", code="url"
        )
    if not kind.enabled:
        raise Rejected(f"{schema}:// needs a package that is not installed here.", code="url")
    if ours := sorted(set(OURS_TO_DECIDE) & {name.lower() for name in parts.get("qsd") or {}}):
        raise Rejected(f"Leave {ours[0]}= out of the address: Vibex decides that itself.", code="url")
    asset = AppriseAsset(
        app_id="Vibex", app_desc="Vibex", async_mode=False, storage_mode="memory", http_redirects=False
    )
    try:
        with _complaints(), confined(private=private):
            return parts["schema"], Apprise.instantiate({**parts}, asset=asset, suppress_exceptions=False)
    except Confined as refused:
        raise Rejected(str(refused), code="url") from None
    except Exception:  # noqa: BLE001 - what it says names the part that is wrong, often with the secret in it
        raise Rejected(f"Parts of the {schema} address are missing or wrong. {_form(kind)}", code="url") from None


def _form(plugin: Any) -> str:
    forms = [str(form) for form in plugin.templates]
    longest = max(forms, key=len, default="")
    return f"{plugin.service_name} addresses look like {longest.replace('{schema}', str(_first(plugin)))}."


def _first(plugin: Any) -> str:
    names = plugin.secure_protocol or plugin.protocol
    return str(names if isinstance(names, str) else next(iter(names)))


def _unknown(schema: str, known: list[str]) -> str:
    close = difflib.get_close_matches(schema, known, n=1)
    meant = f" Did you mean {close[0]}://?" if close else " Usual ones: mailto, tgram, discord, slack, ntfy, json."
    return f"{cut(schema, 20)}:// is not known.{meant}"


def _refuse_private(plugin: Any) -> None:
    """Raise Rejected for a host that says itself that it is this machine; what a name leads to shows when it is asked."""
    for host in {str(getattr(plugin, name, "") or "").strip("[]") for name in ("host", "smtp_host")}:
        numbers = re.fullmatch(r"\d+(?:\.\d+){3}|[0-9a-f]*:[0-9a-f:.]+", host.lower())
        if host.lower() == "localhost" or host.lower().endswith(".localhost") or (numbers and is_private(host)):
            raise Rejected(f"{host} is this machine or in a private network: only staff may send there.", code="url")


@cache
def _plugins() -> Any:
    """Return all plugins, loaded once; their loggers write nothing that we do not hand on."""
    from apprise.manager_plugins import NotificationManager

    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)  # whatever level our own log has: the reasons come from there
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it writes the paths it asks for when it has to try again
    manager = NotificationManager()  # type: ignore[no-untyped-call]
    manager.load_modules()  # type: ignore[no-untyped-call]
    return manager


class _Complaints(logging.Handler):
    """Collects what is complained of in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.thread, self.said = threading.get_ident(), list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.said.append(record.getMessage())


@contextmanager
def _complaints() -> Iterator[list[str]]:
    _plugins()
    handler, logger = _Complaints(), logging.getLogger("apprise")
    logger.addHandler(handler)
    try:
        yield handler.said
    finally:
        logger.removeHandler(handler)
