"""`manage.py restore NAME|latest`: put the database of a backup in the place of the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from vibex.lib.commands import faults_told
from vibex.lib.errors import NeedsOperator, Rejected, Retryable

if TYPE_CHECKING:
    from vibex.backup.restoring import Plan, Restored


class Command(BaseCommand):
    help = "Put the database of a backup in the place of the one in use; nothing trades before it was reconciled."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Name of the backup, as `backup --list` shows it, or `latest`.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Only look: what would be done, and what is in the way."
        )
        parser.add_argument("--overwrite", action="store_true", help="Replace a database that holds something.")
        parser.add_argument("--confirm", metavar="DATABASE", help="Its name, instead of being asked to type it.")
        parser.add_argument("--pause-bots", action="store_true", help="Pause every bot that ran when it was backed up.")
        parser.add_argument("--no-reconcile", action="store_true", help="Leave the first reconcile to the next start.")

    def handle(self, **options: Any) -> None:
        from vibex.backup.restoring import restore, restore_plan

        with faults_told():
            plan = restore_plan(options["name"])
            self._show(plan)
            if options["dry_run"]:
                self._dry(plan)
                return
            self._allowed(plan, options)
            done = restore(plan, pause_bots=options["pause_bots"], tell=lambda text: self.stdout.write(f"  {text}"))
        self._tell(done)
        if not options["no_reconcile"] and not self._reconciled():
            raise SystemExit(1)

    def _show(self, plan: Plan) -> None:
        found = plan.manifest
        there = "is not there yet" if plan.rows is None else f"holds {plan.rows:,} rows" if plan.rows else "is empty"
        lines = [
            f"{found.name}: the state of {found.at:%F %T} UTC, {found.size / 1e6:,.1f} MB, in {plan.place}",
            f"  of {found.database} {found.server}, Vibex {found.program}, {'encrypted' if found.encrypted else 'not encrypted'}",
            f"  in the place of {plan.target} {plan.where}, which {there}",
            *(f"  note: {note}" for note in plan.notes),
            *(f"  NOT POSSIBLE: {refusal}" for refusal in plan.refusals),
        ]
        self.stdout.write("\n".join(lines))

    def _dry(self, plan: Plan) -> None:
        from vibex.backup.restoring import checksum_check

        checksum_check(plan.manifest)
        self.stdout.write("  the checksum is right\nDry run: nothing was touched.")
        if plan.refusals:
            raise SystemExit(1)
        if plan.replaces:
            self.stdout.write(f"It takes --overwrite, and the name typed: {plan.target}.")

    def _allowed(self, plan: Plan, options: dict[str, Any]) -> None:
        """Refuse what is in the way, and have a person type what is to be replaced."""
        if plan.refusals:
            raise CommandError(" ".join(plan.refusals))
        if not plan.replaces:
            return
        if not options["overwrite"]:
            raise CommandError(f"{plan.target} holds {plan.rows:,} rows: say --overwrite to have it replaced.")
        typed = options["confirm"]
        if typed is None:
            try:
                typed = input(f"Type the name of the database that is replaced ({plan.target} {plan.where}): ")
            except EOFError:
                raise CommandError(f"Nobody is there to type it: say --confirm {plan.target}.") from None
        if typed.strip() != plan.target:
            raise CommandError(f"That is not {plan.target}: nothing was done.")

    def _tell(self, done: Restored) -> None:
        self.stdout.write(
            f"Restored. Nothing is opened on {done.barred} accounts until their books agree with their exchanges."
        )
        if done.kept:
            self.stdout.write(f"The database that was there is kept as {done.kept}; remove it when you are sure.")

    def _reconciled(self) -> bool:
        """Compare every account with its exchange. False when one is still barred."""
        from accounts.models import Account
        from trading.services.reconcile import reconcile
        from trading.services.restored import accounts_restored

        for account in Account.objects.filter(pk__in=accounts_restored()).select_related("limits").order_by("pk"):
            try:
                done = reconcile(account, trigger="restore")
                said = [*(f"mended   {text}" for text in done.mended), *(f"LEFT     {text}" for text in done.left)]
                state = f"{len(done.left)} left" if done.left else "agrees"
            except (Retryable, NeedsOperator, Rejected) as fault:
                state, said = "could not be compared", [f"LEFT     {fault}"]
            self.stdout.write(
                "\n".join([f"{account.name} ({account.badge}): {state}", *(f"  {text}" for text in said)])
            )
        barred = accounts_restored()
        if barred:
            self.stdout.write(
                f"{len(barred)} accounts are still barred. It is tried again every minute once Vibex runs; "
                "`manage.py reconcile --all` tries now."
            )
        return not barred
