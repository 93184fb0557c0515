"""The supervisor: one listener for each live account, one look for many events, and no account holds up another."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Credentials, Incident
from trading.domain.venue_events import AccountChanged, ConfigChanged, MarginCalled
from trading.exchange.aster.event_queue import EventQueue
from trading.models import UserStreamState
from trading.selectors.hearing import NOBODY, UNTOLD, hearing_of
from trading.services import user_listener, user_stream_states, user_streams
from trading.services.user_stream_states import Told, states_note
from trading.services.user_streams import UserStreams, user_stream_for
from trading.tests.builders import make_account
from vibex.lib import alive
from vibex.lib.errors import NeedsOperator, Retryable
from vibex.lib.masking import register_secret
from vibex.looks import hearing_lines

# Threads of their own write: a database in memory, as the quick tests have, locks whole tables against them.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci, pytest.mark.postgres]

START = datetime(2025, 10, 10, tzinfo=UTC)
SECONDS = 10.0


def until(condition, seconds=SECONDS):
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.005)
    return found


def written(write):
    """Write while other threads read: SQLite in memory refuses at once instead of waiting."""
    made = []

    def tried():
        with suppress(OperationalError):
            made.append(write())
        return made

    return until(tried)[0]


def live(name):
    def make():
        with transaction.atomic():
            return make_account(name, venue="aster", mode=Account.Mode.LIVE, network=Account.Network.TESTNET)

    return written(make)


class Hand:
    """A stream that says what a test puts into it."""

    def __init__(self, problem=""):
        self.queue = EventQueue(hold=0, kept=1_000)
        self.started = self.stopped = 0
        self.trouble = problem
        self.drain, self.due, self.when_news = self.queue.drain, self.queue.due, self.queue.when_news

    def start(self):
        self.started += 1
        self.queue.put_gap(START, "connected")

    def stop(self, seconds=3.0):
        self.stopped = 1
        return True

    def tell(self, *events):
        for event in events:
            self.queue.put(event)

    def heard_at(self):
        return datetime.now(UTC)

    def connected_at(self):
        return START if self.connected() else None

    def connected(self):
        return not self.trouble and self.started > self.stopped

    def problem(self):
        return self.trouble


class House:
    """A supervisor with streams by hand, and looks that are written down."""

    def __init__(self):
        self.hands, self.looks, self.faults = {}, [], {}
        self.held = threading.Event()
        self.held.set()
        self.answer = lambda _: True
        self.streams = UserStreams(self.make, self.look, period=0.02)

    def make(self, account):
        fault = self.faults.get(account.name)
        if fault is not None:
            raise fault
        hand = Hand()
        self.hands.setdefault(account.name, []).append(hand)
        return hand

    def look(self, account_id):
        self.looks.append(account_id)
        self.held.wait(SECONDS)
        return self.answer(account_id)

    def hand(self, account, number=1):
        return until(lambda: self.hands.get(account.name, [])[number - 1 : number])[0]

    def looked(self, times):
        return until(lambda: len(self.looks) >= times)


@pytest.fixture
def house(monkeypatch):
    monkeypatch.setattr(user_listener, "FIRST_PAUSE", 0.02)
    made = House()
    yield made
    made.held.set()
    made.streams.stop()
    connections.close_all()


def still(house, looks):
    """Check that no further look follows."""
    time.sleep(0.15)
    assert len(house.looks) == looks


def test_a_live_account_is_listened_to_and_looked_at_after_the_connection(house):
    account = live("a")
    make_account("paper")
    house.streams.start()
    house.streams.start()
    hand = house.hand(account)
    house.looked(1)
    assert house.looks == [account.pk]
    assert list(house.hands) == ["a"]
    state = until(lambda: UserStreamState.objects.filter(account=account, caught_up_at__isnull=False).first())
    assert (state.connected_at, state.problem) == (START, "")
    assert house.streams.listening() == [account.pk]
    assert house.streams.stop()
    assert (hand.started, hand.stopped) == (1, 1)
    state.refresh_from_db()
    assert (state.connected_at, state.problem) == (None, "stopped")
    still(house, 1)


def test_many_events_are_one_look_and_those_that_come_meanwhile_one_more(house):
    account = live("a")
    house.streams.start()
    hand = house.hand(account)
    house.looked(1)
    house.held.clear()
    hand.tell(*[ConfigChanged(START, f"{number}") for number in range(20)])
    house.looked(2)
    for number in range(30):
        hand.tell(ConfigChanged(START, f"again {number}"))
        hand.queue.put_gap(START, f"gap {number}")
    still(house, 2)
    house.held.set()
    house.looked(3)
    still(house, 3)


def test_events_that_demand_nothing_are_applied_without_a_look(house):
    account = live("a")
    house.streams.start()
    hand = house.hand(account)
    house.looked(1)
    hand.tell(AccountChanged(START, "ORDER", None))
    still(house, 1)


@pytest.mark.parametrize("fault", [None, Retryable("the exchange is silent"), RuntimeError("a fault of ours")])
def test_a_look_that_failed_is_repeated_until_it_is_done(house, fault):
    account = live("a")
    tries = []

    def answer(_):
        tries.append(1)
        if len(tries) < 3:
            if fault is not None:
                raise fault
            return False
        return True

    house.answer = answer
    house.streams.start()
    house.hand(account)
    house.looked(3)
    until(lambda: UserStreamState.objects.filter(account=account, caught_up_at__isnull=False).exists())
    still(house, 3)


def test_a_new_event_does_not_wait_for_the_pause_of_a_failed_look(house, monkeypatch):
    monkeypatch.setattr(user_listener.Pause, "failed", lambda self: setattr(self, "seconds", 60.0) or 60.0)
    account = live("a")
    house.answer = lambda _: False
    house.streams.start()
    hand = house.hand(account)
    house.looked(1)
    hand.tell(MarginCalled(START, ("BTCUSDT",)))
    house.looked(2)
    assert Incident.objects.get().kind == "liquidation-near"


def test_a_fault_of_one_account_touches_no_other(house):
    broken, slow, good = live("broken"), live("slow"), live("good")
    house.faults["broken"] = NeedsOperator("The keys of broken are missing.")
    blocked = threading.Event()

    def answer(account_id):
        if account_id == slow.pk:
            blocked.wait(SECONDS)
        return True

    house.answer = answer
    house.streams.start()
    try:
        hand = house.hand(good)
        until(lambda: slow.pk in house.looks and good.pk in house.looks)
        for number in range(1, 4):
            hand.tell(ConfigChanged(START, str(number)))
            until(lambda n=number: house.looks.count(good.pk) > n)
        assert house.looks.count(slow.pk) == 1
        state = until(lambda: UserStreamState.objects.filter(account=broken).first())
        assert state.problem == "The keys of broken are missing."
    finally:
        blocked.set()


def test_events_are_applied_while_more_looks_hang_than_there_are_threads(house, monkeypatch):
    monkeypatch.setattr(user_streams, "LOOK_AT_ONCE", 2)
    taken = []
    apply = user_listener.venue_event_apply

    def noted(*, account, event):
        taken.append((account.name, event))
        return apply(account=account, event=event)

    monkeypatch.setattr(user_listener, "venue_event_apply", noted)
    accounts = [live(name) for name in "abcd"]
    house.held.clear()
    house.streams.start()
    hands = {account.name: house.hand(account) for account in accounts}
    house.looked(2)
    waits = next(one for one in accounts if one.pk not in house.looks)
    event = ConfigChanged(START, "while others are looked at")
    hands[waits.name].tell(event)
    until(lambda: (waits.name, event) in taken)
    assert len(house.looks) == 2
    house.held.set()
    house.looked(4)
    assert sorted(house.looks) == [one.pk for one in accounts]
    still(house, 4)


def test_no_account_has_two_threads_at_once_and_its_events_stay_in_order(house, monkeypatch):
    at_work, taken, twice = set(), {}, []

    def noted(*, account, event):
        if account.name in at_work:
            twice.append(account.name)
        at_work.add(account.name)
        time.sleep(0.001)
        at_work.remove(account.name)
        taken.setdefault(account.name, []).append(event.text if isinstance(event, ConfigChanged) else "gap")
        return True

    monkeypatch.setattr(user_listener, "venue_event_apply", noted)
    accounts = [live(name) for name in "abc"]
    house.streams.start()
    hands = [house.hand(account) for account in accounts]
    for number in range(40):
        for hand in hands:
            hand.tell(ConfigChanged(START, str(number)))
        time.sleep(0.002)
    told = [str(number) for number in range(40)]
    for account in accounts:
        until(lambda name=account.name: [one for one in taken.get(name, []) if one != "gap"] == told)
    assert twice == []


def test_an_account_without_keys_is_tried_again_and_again_and_logged_once(house, monkeypatch):
    monkeypatch.setattr(user_streams, "WITHOUT_SECONDS", 0.0)
    house.faults["a"] = NeedsOperator("The keys of a are missing.")
    live("a")
    tries, told, make = [], [], house.make
    monkeypatch.setattr(user_streams.log, "warning", lambda _text, *parts: told.append(parts))

    def counted(account):
        tries.append(account.pk)
        return make(account)

    house.streams._factory = counted
    house.streams.start()
    until(lambda: len(tries) > 4)
    house.faults["a"] = NeedsOperator("The keys of a do not open.")
    before = len(tries)
    until(lambda: len(tries) > before + 3)
    assert told == [("a", "The keys of a are missing."), ("a", "The keys of a do not open.")]


def test_accounts_that_come_go_and_change_their_keys_are_noticed(house):
    first = live("first")
    house.streams.start()
    hand = house.hand(first)
    second = live("second")
    house.hand(second)
    row = written(lambda: Credentials.objects.create(account=first, kind=Credentials.Kind.ASTER_V3, sealed="x"))
    again = house.hand(first, 2)
    until(lambda: hand.stopped)
    row.updated = timezone.now()
    written(row.save)
    house.hand(first, 3)
    until(lambda: again.stopped)
    written(lambda: Account.objects.filter(pk=second.pk).update(mode=Account.Mode.PAPER))
    until(lambda: house.hands["second"][0].stopped)


def test_what_is_heard_of_many_accounts_is_stored_in_one_statement(house, monkeypatch):
    monkeypatch.setattr(user_streams, "NOTE_SECONDS", 0.0)
    accounts = [live(name) for name in "abcde"]
    house.faults["e"] = NeedsOperator("The keys of e are missing.")
    house.streams.start()
    until(lambda: len(set(house.looks)) == 4)
    until(lambda: UserStreamState.objects.filter(caught_up_at__isnull=False).count() == 4)
    stored = []
    note = user_streams.states_note

    def counted(told):
        with CaptureQueriesContext(connections["default"]) as queries:
            done = note(told)
        stored.append((sorted(told), [one["sql"].split()[0] for one in queries]))
        return done

    monkeypatch.setattr(user_streams, "states_note", counted)
    heard = [one.pk for one in accounts[:4]]
    told, statements = until(lambda: [one for one in stored if one[0] == heard])[0]
    assert [one for one in statements if one not in ("BEGIN", "COMMIT")] == ["INSERT"], told
    before = UserStreamState.objects.get(account=heard[0]).heard_at
    until(lambda: UserStreamState.objects.get(account=heard[0]).heard_at > before)
    row = UserStreamState.objects.get(account=accounts[4])
    assert (row.problem, row.connected_at, row.heard_at) == ("The keys of e are missing.", None, None)


def test_what_was_stored_before_stays_until_there_is_something_newer(house):
    account = live("a")
    long_ago = timezone.now() - timedelta(days=1)
    UserStreamState.objects.create(account=account, heard_at=long_ago, caught_up_at=long_ago, problem="stopped")
    house.held.clear()
    house.streams.start()
    house.looked(1)
    state = until(lambda: UserStreamState.objects.filter(account=account, problem="").first())
    assert (state.caught_up_at, state.connected_at) == (long_ago, START)
    assert state.heard_at > long_ago


def test_an_account_that_is_deleted_meanwhile_keeps_nobody_else_from_being_noted():
    account, gone = live("a"), live("b")
    gone_id = gone.pk
    written(gone.delete)
    assert states_note({account.pk: Told(problem="x" * 400), gone_id: Told(problem="y")})
    assert UserStreamState.objects.get().problem == "x" * 300
    assert states_note({})


def test_a_problem_is_stored_without_its_secret():
    register_secret("a-very-secret-key")
    account = live("a")
    states_note({account.pk: Told(problem="refused: a-very-secret-key")})
    assert UserStreamState.objects.get().problem == "refused: ***"


def test_a_database_that_refuses_is_told_again(house, monkeypatch):
    account = live("a")
    write, refused = user_stream_states._write, []

    def sometimes(told):
        if told and len(refused) < 3:
            refused.append(told)
            raise OperationalError("the database is gone")
        write(told)

    monkeypatch.setattr(user_stream_states, "_write", sometimes)
    house.streams.start()
    until(lambda: UserStreamState.objects.filter(account=account, caught_up_at__isnull=False).exists())
    assert len(refused) == 3


def test_threads_do_not_grow_with_accounts(house):
    for name in range(30):
        live(f"many{name}")
    before = set(threading.enumerate())
    house.streams.start()
    until(lambda: len(set(house.looks)) == 30)
    most = user_streams.APPLY_AT_ONCE + user_streams.LOOK_AT_ONCE + 2
    assert len(set(threading.enumerate()) - before) <= most


def test_beginning_with_many_accounts_is_no_standstill(house):
    """Who hangs is ended: the count goes on while streams are made, however many there are."""
    for name in "abc":
        live(name)
    counts, make = [], house.make

    def counted(account):
        counts.append(house.streams.rounds)
        return make(account)

    house.streams._factory = counted
    house.streams.start()
    until(lambda: len(counts) == 3)
    assert len(set(counts)) == 3


def test_it_can_be_started_again(house):
    account = live("a")
    for number in (1, 2):
        house.streams.start()
        house.hand(account, number)
        house.looked(number)
        assert house.streams.stop()


def test_a_listener_that_broke_is_replaced(house):
    account = live("a")
    house.streams.start()
    hand = house.hand(account)
    hand.due = lambda: 1 / 0
    hand.tell(AccountChanged(START, "ORDER", None))
    house.hand(account, 2)
    assert hand.stopped == 1


def test_events_wait_for_a_database_that_is_gone(house, monkeypatch):
    account = live("a")
    house.streams.start()
    hand = house.hand(account)
    house.looked(1)
    gone, taken = [True], []
    apply = user_listener.venue_event_apply

    def sometimes(*, account, event):
        if gone[0]:
            raise OperationalError("the database is gone")
        taken.append(event)
        return apply(account=account, event=event)

    monkeypatch.setattr(user_listener, "venue_event_apply", sometimes)
    events = [ConfigChanged(START, str(number)) for number in range(5)]
    hand.tell(*events)
    still(house, 1)
    gone[0] = False
    house.looked(2)
    assert taken == events
    still(house, 2)


def test_an_event_that_a_fault_of_ours_keeps_out_is_made_up_for_by_a_look(house, monkeypatch):
    account = live("a")
    house.streams.start()
    hand = house.hand(account)
    house.looked(1)
    monkeypatch.setattr(user_listener, "venue_event_apply", lambda **_: 1 / 0)
    hand.tell(ConfigChanged(START, "x"))
    house.looked(2)
    still(house, 2)


def test_stopping_does_not_wait_for_a_look_that_hangs(house, monkeypatch):
    monkeypatch.setattr(user_streams, "STOP_SECONDS", 0.1)
    account = live("a")
    house.held.clear()
    house.streams.start()
    house.hand(account)
    house.looked(1)
    assert not house.streams.stop()
    assert house.streams.left_behind() == [account.pk]
    house.held.set()
    until(lambda: house.hands["a"][0].stopped)


def test_a_venue_without_a_stream_and_missing_keys():
    silent = make_account("b", venue="binance_usdm", mode=Account.Mode.LIVE, network=Account.Network.TESTNET)
    assert user_stream_for(silent) is None
    with pytest.raises(NeedsOperator, match="a"):
        user_stream_for(live("a"))


def test_what_is_heard_is_told_to_the_doctor():
    account, other, third = live("a"), live("b"), live("c")
    now = timezone.now()
    assert hearing_of(make_account("paper"), now=now) is None
    assert hearing_of(account, now=now).problem == NOBODY
    UserStreamState.objects.create(account=account, connected_at=now, heard_at=now)
    UserStreamState.objects.create(account=other, problem=UNTOLD)
    assert hearing_of(account, now=now).well
    lines = list(hearing_lines())
    assert [(line.state, line.detail.partition(":")[0]) for line in lines] == [
        ("ok", "a"),
        ("info", "b"),
        ("warn", "c"),
    ]
    assert "manage.py user_streams" in lines[2].remedy
    UserStreamState.objects.filter(account=account).update(heard_at=now - timedelta(minutes=2))
    assert hearing_of(account, now=now).problem == NOBODY
    UserStreamState.objects.filter(account=account).update(heard_at=now, problem="the venue answered 503")
    assert hearing_of(account, now=now).problem == "the venue answered 503"
    assert third.live


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"connected_at": START, "heard_at": timezone.now}, "<dd>heard</dd>"),
        ({"problem": "the venue answered 503"}, "the venue answered 503"),
        ({"problem": UNTOLD}, "<dd>asked for</dd>"),
        (None, NOBODY),
    ],
)
def test_the_desk_of_a_live_account_says_whether_it_is_heard(client, state, shown):
    account = live("a")
    client.force_login(account.owner)
    if state is not None:
        values = {name: value() if callable(value) else value for name, value in state.items()}
        UserStreamState.objects.create(account=account, **values)
    page = client.get(reverse("desk", args=[account.pk])).content.decode()
    assert "<dt>Events</dt>" in page
    assert shown in page


def test_the_command_listens_until_it_is_stopped(monkeypatch, capsys):
    import signal

    from trading.services.user_streams import UserStreams as Real

    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    made = []

    class Soon(Real):
        def run(self):
            made.append(self)
            signal.raise_signal(signal.SIGTERM)
            super().run()

    monkeypatch.setattr(user_streams, "UserStreams", Soon)
    try:
        call_command("user_streams")
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert len(made) == 1
    assert not alive._Limit.seconds, "nobody ends a process in which it is over"
    assert "Stopped." in capsys.readouterr().out


def test_the_command_may_have_as_many_handles_as_the_machine_allows():
    import resource

    from trading.management.commands.user_streams import handles_allow

    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = kept[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (kept[0] - 1, most))
        handles_allow()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)
