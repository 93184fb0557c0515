"""How commands are told which bot is meant."""

from __future__ import annotations

from django.core.management.base import CommandError

from accounts.models import Bot


def bot_found(text: str) -> Bot:
    """Return the bot of an id, a name, or <account>/<name>. Raises CommandError that says which there are."""
    bots = Bot.objects.select_related("account__limits", "account__owner").order_by("pk")
    account, _, name = text.rpartition("/")
    named = bots.filter(name=name, account__name=account) if account else bots.filter(name=name)
    found = list(bots.filter(pk=int(text)) if text.isdecimal() else named)
    if not found:
        known = ", ".join(f"{bot.pk} ({bot.name})" for bot in bots) or "none: `manage.py up` makes the first one"
        raise CommandError(f"there is no bot {text!r}; there are: {known}")
    if len(found) > 1:
        which = ", ".join(f"{bot.pk} ({bot.account.name}/{bot.name})" for bot in found)
        raise CommandError(f"several bots are called {text!r}: use an id, {which}")
    return found[0]
