"""`manage.py resume ACCOUNT --reason TEXT --as EMAIL`: lift a halt, once books and exchange agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from trading.management.accounts import account_found
from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Let a halted account, or one that only reduces, open positions again. Its books have to agree with the exchange."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="Id or name of the account.")
        parser.add_argument("--reason", required=True, help="Why it may open positions again; it stays on record.")
        parser.add_argument(
            "--as", dest="email", required=True, metavar="EMAIL", help="Who decides it; needs the permission."
        )

    def handle(self, **options: Any) -> None:
        from trading.services.resume import account_resume

        with faults_told():
            account = account_found(options["account"])
            actor = User.objects.filter(email__iexact=options["email"]).first()
            if actor is None:
                raise CommandError(f"there is nobody with the address {options['email']!r}")
            account_resume(account=account, actor=actor, reason=options["reason"])
        self.stdout.write(f"{account} may open positions again, by {actor}: {options['reason'].strip()}")
