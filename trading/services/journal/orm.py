"""The journal of live and paper trading: every method is a transaction of its own, committed when it returns."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Account, Bot, Incident
from accounts.services import incident_open, incidents_mended
from decisions.deciders.base import Answer, Question, Reading
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Ruling
from decisions.domain.question import Member
from decisions.models import Approval, Cycle, Decision, DiaryEntry, Interaction
from decisions.services import decisions_record, interactions_record
from decisions.services.votes import shadows_record, votes_record
from marketdata.domain.snapshot import MarketSnapshot
from marketdata.services import snapshot_store
from trading.domain.history import History
from trading.domain.losses import KINDS, Watch
from trading.domain.orders import FINAL, UNRESOLVED, OrderState, Step, move, observe
from trading.domain.risk import Standing
from trading.domain.venue import AccountState, Income, NewOrder, OrderReport, Trade, VenuePosition
from trading.models import Order, Position
from trading.selectors.history import history_of
from trading.selectors.losses import watch_of
from trading.services import bookkeeping
from trading.services.claims import claim_release, claim_take
from trading.services.fills import trades_book
from trading.services.journal.base import Bracket, EntryBarred, IntentVoid, Line, Stage, TrackedOrder, TrackedPosition
from trading.services.journal.rows import (
    facts_of,
    order_create,
    order_step,
    tracked_entry,
    tracked_order,
    tracked_position,
)
from trading.services.kept import cycle_kept
from trading.services.lease import cycle_renew
from trading.services.live_gate import live_allowed
from trading.services.model_faults import model_faults_note
from trading.services.standing import account_reduce, lock_put, locks_of
from trading.services.telling import data_tell, entry_tell, model_tell, refusals_tell
from vibex.lib import spans
from vibex.lib.connections import let_go_of_server
from vibex.lib.events import publish_on_commit

log = logging.getLogger(__name__)

ARRIVAL = timedelta(seconds=10)
"""A request that left cannot be accepted later than this."""


@dataclass(slots=True)
class OrmJournal:
    """Journal of one account in the database. With a `cycle` it also keeps what that cycle saw and decided."""

    account: Account
    cycle: Cycle | None = None
    decisions: list[Decision] = field(default_factory=list)
    interaction: Interaction | None = None
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    approval: Approval | None = None
    """What a person said yes to, when that is what the cycle goes on with: it is ruled into a decision of its own."""
    watched: Watch | None = None
    """The watch, as of the point that was added last through it."""
    sums: bookkeeping.LedgerSums | None = None
    """What the ledger added up to when the wallet was compared with it, until lines are copied or a point took it over."""
    roles: dict[str, Role] = field(default_factory=dict)
    """Of orders that were planned or asked for through it: an order keeps its role."""
    told: set[int] = field(default_factory=set)
    """The incidents that were opened through it, or told again."""

    # -- orders ------------------------------------------------------------------------------------------------

    def plan(self, order: NewOrder, *, role: Role, ruling: int | None = None, purpose: str = "") -> None:
        with transaction.atomic():
            self._still_allowed(role)
            if not self.claim(order.symbol) and role is Role.ENTRY:
                raise EntryBarred("another writer is at work on the symbol")
            if role is Role.ENTRY:
                self._open_for_entries(order.symbol)
            held = None if role is Role.ENTRY else self._held(order.symbol)
            order_create(
                account=self.account,
                bot_id=self.cycle.bot_id if self.cycle else getattr(held, "bot_id", None),
                cycle=self.cycle,
                decision_id=self.decisions[ruling].pk if ruling is not None else getattr(held, "decision_id", None),
                position=held,
                order=order,
                role=role,
                purpose=purpose,
            )
        self.roles[order.client_order_id] = role
        log.info("%s %s %s planned as %s", role.value, order.side, order.symbol, order.client_order_id)

    def sending(self, client_order_id: str) -> None:
        now = datetime.now(UTC)
        with transaction.atomic():
            self._still_allowed(self._role(client_order_id))
            row = self._locked(client_order_id)
            if row.role == Role.ENTRY.value:
                self._unlocked(row.symbol)
            step = move(facts_of(row), OrderState.SENDING)
            if step.incident:
                raise IntentVoid(f"order {client_order_id} is {row.state} already: it took too long to leave")
            order_step(row, step, "sent", sent_at=now, deadline=now + ARRIVAL)

    def cancelling(self, client_order_id: str) -> None:
        with transaction.atomic():
            self._still_allowed(self._role(client_order_id), opening=False)
            row = self._locked(client_order_id)
            step = move(facts_of(row), OrderState.CANCELLING)
            self._take(row, step, "cancel")
        self._explain(row, step)

    def may_set(self) -> None:
        with transaction.atomic():
            self._still_allowed(Role.ENTRY)

    def observe(self, client_order_id: str, report: OrderReport) -> None:
        with transaction.atomic():
            row = self._locked(client_order_id)
            step = observe(facts_of(row), report)
            self._take(row, step, report.status.value.lower())
        self._explain(row, step)

    def move(self, client_order_id: str, to: OrderState, *, reason: str = "") -> None:
        self._step(client_order_id, to.value, to, reason=reason)

    def asked_in_vain(self, client_order_id: str) -> None:
        with transaction.atomic():
            row = self._locked(client_order_id)
            row.absent_answers += 1
            row.save(update_fields=["absent_answers"])

    def orders(self) -> list[TrackedOrder]:
        rows = Order.objects.filter(account=self.account).exclude(state__in=FINAL).order_by("created", "pk")
        return [tracked_order(row) for row in rows]

    def take_in(self, reports: Sequence[OrderReport]) -> None:
        for report in bookkeeping.orders_take_in(account=self.account, reports=reports):
            self.observe(report.client_order_id, report)

    def claim(self, symbol: str) -> bool:
        return claim_take(account_id=self.account.pk, symbol=symbol, holder=self.holder)

    def release(self, symbol: str) -> None:
        claim_release(account_id=self.account.pk, symbol=symbol, holder=self.holder)

    # -- positions ---------------------------------------------------------------------------------------------

    def book(self, trades: Sequence[Trade]) -> int:
        return trades_book(account=self.account, trades=trades)

    def book_stated(self, held: VenuePosition, *, at: datetime) -> None:
        bookkeeping.position_book_stated(account=self.account, held=held, at=at)

    def adopted(self, symbol: str, *, stop: Decimal) -> None:
        held = self.account.positions.filter(symbol=symbol, closed__isnull=True)
        if held.update(adopted=datetime.now(UTC), stop=stop):
            self._tell_position(symbol)

    def book_income(self, income: Sequence[Income]) -> set[str]:
        self.sums = None
        return bookkeeping.income_book(account=self.account, income=income)

    def unbooked(self, symbol: str) -> TrackedPosition | None:
        entries = Order.objects.filter(account=self.account, symbol=symbol, role=Role.ENTRY.value)
        newest = entries.select_related("decision").order_by("-created", "-pk").first()
        if newest is None or not newest.filled or newest.fills.exists():
            return None
        return tracked_entry(newest)

    def ledger_total(self) -> Decimal | None:
        self.sums = bookkeeping.ledger_sums(account=self.account)
        return self.sums.total

    def trades_since(self, symbol: str) -> datetime:
        return bookkeeping.trades_since(account=self.account, symbol=symbol)

    def income_since(self) -> datetime:
        return bookkeeping.income_since(account=self.account)

    def positions(self) -> list[TrackedPosition]:
        rows = self.account.positions.filter(closed__isnull=True).select_related("decision").order_by("opened")
        return [tracked_position(row) for row in rows]

    def bracket(
        self,
        symbol: str,
        state: Bracket,
        *,
        stop: Decimal | None = None,
        target: Decimal | None = None,
        leverage: int | None = None,
        verified_at: datetime | None = None,
    ) -> None:
        given = {"stop": stop, "target": target, "leverage": leverage, "protected_at": verified_at}
        changes = {name: value for name, value in given.items() if value is not None}
        held = self.account.positions.filter(symbol=symbol, closed__isnull=True)
        if held.update(bracket=state.value, **changes):
            self._tell_position(symbol)

    def equity(self, state: AccountState) -> None:
        sums, self.sums = self.sums, None
        if sums and sums.total != state.wallet:  # something was booked between the two, or is not told yet
            sums = None
        self.watched = bookkeeping.equity_record(account=self.account, state=state, sums=sums) or self.watched

    def watch(self) -> Watch | None:
        return self.watched or watch_of(self.account)

    def history(self, *, at: datetime) -> History:
        return history_of(self.account, at=at)

    def incident(
        self,
        kind: str,
        text: str,
        *,
        critical: bool = False,
        subject: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        began = timezone.now()
        incident = incident_open(
            account=self.account,
            kind=kind,
            text=text,
            severity=Incident.Severity.CRITICAL if critical else Incident.Severity.ERROR,
            subject=subject,
            data=dict(data or {}),
        )
        self.told.add(incident.pk)
        if incident.opened >= began:  # not again at each look
            log.log(logging.CRITICAL if critical else logging.ERROR, "incident %s: %s", kind, text)

    def is_open(self, kind: str, subject: str) -> bool:
        found = Incident.objects.filter(account=self.account, kind=kind, resolved__isnull=True)
        return found.filter(data__subject=subject).exists()

    def mended(self, kind: str, subject: str = "") -> None:
        incidents_mended(account=self.account, kind=kind, subject=subject)

    def reducing(self, reason: str) -> None:
        account_reduce(account=self.account, reason=reason)

    def lock(self, symbol: str, reason: str, *, kind: str = "", data: Mapping[str, str] | None = None) -> str:
        return lock_put(account=self.account, symbol=symbol, reason=reason, kind=kind, data=data).reason

    def loss_locked(self, *, at: datetime) -> bool:
        return locks_of(self.account).filter(kind__in=KINDS).exists()

    # -- the cycle ---------------------------------------------------------------------------------------------

    def stage(self, stage: Stage) -> None:
        if self.cycle is None:
            return
        self.cycle.stage = stage.value
        spans.step(stage.value)
        told = {"id": self.cycle.pk, "bot": self.cycle.bot_id, "stage": stage.value}
        publish_on_commit(account_id=self.account.pk, kind="stage", data=told)
        # The lease covers the short steps; it is renewed around the ask, and with every order. Between the two a reply is
        # read and kept, also for a cycle that was overtaken: it was paid for.
        if stage in (Stage.ASK, Stage.RULE) and not self._renewed():
            raise IntentVoid(f"cycle {self.cycle.pk} lost its lease before the step {stage}")
        if stage is Stage.ASK:
            let_go_of_server()

    def saw(self, snapshot: MarketSnapshot) -> None:
        if self.cycle is not None:
            seen = snapshot_store(snapshot)
            if self.approval is None:  # what the cycle decided on stays on record as it was
                self.cycle.digest, self.cycle.seen = snapshot.digest, seen
                data_tell(self.cycle, seen)

    def asked(self, question: Question, answer: Answer, reading: Reading) -> None:
        if self.cycle is None:
            return
        if answer.members:
            asked = votes_record(cycle=self.cycle, question=question, members=answer.members, reading=reading)
            for each in asked:
                model_tell(self.cycle, each)
        elif answer.proposals is None and (question.prompt is not None or answer.raw):
            self.interaction = interactions_record(
                bot_id=self.cycle.bot_id, cycle=self.cycle, question=question, answer=answer, reading=reading
            )
            if self.interaction is not None:
                model_tell(self.cycle, self.interaction)
        model_faults_note(journal=self, account_id=self.account.pk, answer=answer)

    def keep(self, question: Question, reading: Reading, standing: Standing, live: MarketSnapshot) -> None:
        if self.cycle is None or self.approval is not None:  # what the cycle decided in stays on record as it was
            return
        try:
            self.cycle.kept = cycle_kept(question, standing, live, reading.proposals)
        except Exception:  # whatever the world holds that has no form, it keeps nobody from trading
            log.exception("what cycle %s decided in could not be kept: it cannot be replayed", self.cycle.pk)

    def ruled(self, rulings: Sequence[Ruling], *, at: datetime) -> None:
        if self.cycle is not None:
            self.decisions = decisions_record(
                cycle=self.cycle, interaction=self.interaction, rulings=rulings, at=at, approval=self.approval
            )
            refusals_tell(self.cycle, self.decisions)

    def shadowed(
        self,
        question: Question,
        reading: Reading,
        compared: Sequence[tuple[Member, Sequence[Ruling]]],
        *,
        at: datetime,
    ) -> None:
        if self.cycle is not None:
            shadows_record(cycle=self.cycle, question=question, reading=reading, compared=compared, at=at)

    def wait(self, rulings: Collection[int], *, until: datetime) -> bool:
        if self.cycle is None:
            return False
        waiting = [self.decisions[place] for place in sorted(rulings)]
        Approval.objects.bulk_create(Approval(decision=decision, until=until) for decision in waiting)
        return True

    def diary(self, lines: Sequence[Line]) -> None:
        if self.cycle is not None:
            rows = DiaryEntry.objects.bulk_create(
                DiaryEntry(bot_id=self.cycle.bot_id, cycle=self.cycle, **asdict(line)) for line in lines
            )
            if rows:
                told = {"ids": [row.pk for row in rows]}
                publish_on_commit(account_id=self.account.pk, kind="diary", data=told)

    def publish(self, kind: str) -> None:
        data = {"id": self.cycle.pk} if self.cycle else None
        publish_on_commit(account_id=self.account.pk, kind=kind, data=data)

    # -- inside --------------------------------------------------------------------------------------------------

    def _tell_position(self, symbol: str) -> None:
        """Tell those who watch that the open position of a symbol is another now; which one it is they look up."""
        publish_on_commit(account_id=self.account.pk, kind="position", data={"open": symbol})

    def _held(self, symbol: str) -> Position | None:
        return self.account.positions.filter(symbol=symbol, closed__isnull=True).first()

    def _still_allowed(self, role: Role, *, opening: bool = True) -> None:
        """Refuse the intent when the account was halted since, or the cycle was overtaken. Inside the intent's transaction.

        `opening` tells whether an entry would be placed by it: only then does it matter whether the account may open.
        """
        now = Account.objects.select_for_update().values("epoch", "state", "state_reason").get(pk=self.account.pk)
        if now["epoch"] != self.account.epoch:
            raise IntentVoid(f"account {self.account.name} was halted after this was decided")
        if role is Role.ENTRY and opening:
            if now["state"] != Account.State.ACTIVE:
                raise EntryBarred(f"account {self.account.name} is {now['state']}: {now['state_reason']}")
            if reason := live_allowed(self.account):
                raise EntryBarred(reason)
        if not self._renewed():
            raise IntentVoid(f"cycle {self.cycle and self.cycle.pk} lost its lease")

    def _open_for_entries(self, symbol: str) -> None:
        """Refuse an entry that a person or another order has overtaken while it was decided on."""
        if Order.objects.filter(account=self.account, symbol=symbol, state__in=UNRESOLVED).exists():
            raise EntryBarred("nobody knows yet what became of an order on the symbol")
        self._unlocked(symbol)
        if self.cycle is not None:
            bot = self.cycle.bot
            status = Bot.objects.values_list("status", flat=True).get(pk=bot.pk)
            if status != bot.status:
                raise EntryBarred(f"bot {bot.name} was set to {status} while it decided")

    def _unlocked(self, symbol: str) -> None:
        """Refuse an entry while a lock holds. Who puts one holds the account, as this transaction does: one of them is first."""
        if lock := locks_of(self.account).filter(symbol__in=("", symbol)).first():
            raise EntryBarred(lock.reason)

    def _renewed(self) -> bool:
        """Renew the lease of the cycle, if there is one, and store how far it is."""
        return self.cycle is None or cycle_renew(cycle=self.cycle)

    def _step(self, client_order_id: str, kind: str, to: OrderState, *, reason: str = "", **stamps: datetime) -> None:
        with transaction.atomic():
            row = self._locked(client_order_id)
            step = move(facts_of(row), to, reason=reason)
            self._take(row, step, kind, **stamps)
        self._explain(row, step)

    def _locked(self, client_order_id: str) -> Order:
        return Order.objects.select_for_update().get(account=self.account, client_order_id=client_order_id)

    def _take(self, row: Order, step: Step, kind: str, **stamps: datetime) -> None:
        if order_step(row, step, kind, **stamps):
            log.info("%s %s is %s %s", row.role, row.client_order_id, step.facts.state.value, step.facts.reason)

    def _explain(self, row: Order, step: Step) -> None:
        """Tell what should not have happened, and of an entry that ended, once the order is let go: both wait for the account."""
        if step.incident:
            self.incident("order-state", f"{row.client_order_id}: {step.incident}")
        row.account = self.account
        entry_tell(row, facts_of(row), step.facts)

    def _role(self, client_order_id: str) -> Role:
        """Return the role of an order without taking hold of it: the account comes first, as with who books its trades."""
        if client_order_id not in self.roles:
            rows = Order.objects.filter(account=self.account, client_order_id=client_order_id)
            self.roles[client_order_id] = Role(rows.values_list("role", flat=True).get())
        return self.roles[client_order_id]
