"""Builders for tests: the smallest rows that hold."""

from accounts.models import Account, Bot, RiskLimits, Role, User
from accounts.services.roles import role_set, roles_ensure


def make_account(name: str = "paper", *, venue: str = "sim", **fields: object) -> Account:
    """Return a paper account with default limits and an owner of its own."""
    owner, _ = User.objects.get_or_create(email=f"{name}@example.com")
    account = Account.objects.create(owner=owner, name=name, venue=venue, **fields)
    RiskLimits.objects.create(account=account)
    account.refresh_from_db()
    return account


def make_bot(name: str = "paper", *, account: Account | None = None, **fields: object) -> Bot:
    """Return a stopped bot that trades BTCUSDT every three minutes by rules."""
    fields = {"symbols": ["BTCUSDT"], "interval": "3m", "timeframes": ["3m", "1h"], **fields}
    bot = Bot.objects.create(account=account or make_account(name), name=name, **fields)
    bot.refresh_from_db()
    return bot


def make_trader(person: User) -> User:
    """Let a person act on what is theirs. Returns them anew, since rights are read once."""
    roles_ensure()
    role_set(user=person, role=Role.TRADER, actor=None)
    return User.objects.get(pk=person.pk)
