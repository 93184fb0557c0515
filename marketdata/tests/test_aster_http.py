"""Every class of answer that AsterDEX or the network in front of it gives, and what is done about it."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
import stamina
import time_machine

from marketdata.aster import http as http_module
from marketdata.aster.answers import BadGateway
from marketdata.aster.http import AsterHttp
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from vibex.lib.clock import Deadline

NOW = datetime(2025, 6, 17, 8, 0, 20, tzinfo=UTC)
HTML = "<html><body>Bad Gateway</body></html>"


class Ledger:
    """A budget in memory that writes down what it is told."""

    def __init__(self, *busy: VenueBusy) -> None:
        self.busy = list(busy)
        self.taken, self.reported, self.blocks, self.told = [], [], [], []

    def take(self, weight, purpose):
        self.taken.append((weight, purpose))
        if self.busy:
            raise self.busy.pop(0)

    def report(self, used):
        self.reported.append(used)

    def block(self, until, reason, *, told=False):
        (self.told if told else self.blocks).append((until, reason))

    def limit_set(self, limit):
        raise AssertionError(limit)


class Venue:
    """Answers one after the other; the last one again and again."""

    def __init__(self, *answers: httpx2.Response | Exception | Callable) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def reply(status=200, content=None, text=None, **headers):
    body = json.dumps({} if content is None else content) if text is None else text
    return lambda request: httpx2.Response(status, text=body, headers=headers)


@pytest.fixture(autouse=True)
def _no_waiting():
    """Let every pause be over at once; the attempts stay as many as they are."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture(autouse=True)
def _stand_still():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def client():
    made = []

    def make(*answers, budget=None, **options):
        venue, ledger = Venue(*answers), budget or Ledger()
        options = {"jitter": 0, **options}
        http = AsterHttp("https://venue.test/", ledger, Purpose.FEED, transport=httpx2.MockTransport(venue), **options)
        made.append(http)
        return http, venue, ledger

    yield make
    for http in made:
        http.close()


def ask(http, **options):
    return http.get("/fapi/v3/klines", {"symbol": "BTCUSDT", "signature": "hidden"}, weight=5, **options)


def test_a_good_answer_is_paid_for_and_returned(client):
    http, venue, ledger = client(reply(content=[1, "2.50"]))
    assert ask(http) == [1, "2.50"]
    assert ledger.taken == [(5, Purpose.FEED)]
    assert str(venue.asked[0].url) == "https://venue.test/fapi/v3/klines?symbol=BTCUSDT&signature=hidden"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-MBX-USED-WEIGHT-1M": "107"}, [107]),
        ({"x-mbx-used-weight-1m": "107, 240"}, [240]),
        ({"X-MBX-USED-WEIGHT-1M": "7", "X-MBX-USED-WEIGHT": "9"}, [9]),
        ({"X-MBX-USED-WEIGHT-1M-A7": "8", "X-MBX-USED-WEIGHT-1D": "90000", "X-MBX-USED-WEIGHT-1H": "5000"}, [8]),
        ({"X-MBX-USED-WEIGHT-1M": "?"}, []),
        ({}, []),
    ],
)
def test_the_venues_own_count_is_taken_over_the_largest_of_several(client, headers, expected):
    http, _, ledger = client(reply(**headers))
    ask(http)
    assert ledger.reported == expected


def test_a_count_that_arrives_in_the_next_minute_is_not_charged_to_it(client):
    with time_machine.travel(NOW.replace(second=59), tick=False) as clock:

        def late(request):
            clock.shift(2)
            return httpx2.Response(200, text="{}", headers={"X-MBX-USED-WEIGHT-1M": "1200"})

        http, _, ledger = client(late)
        ask(http)
        assert ledger.reported == []


PASSING = {
    "a page with status 200": reply(text=HTML),
    "an empty body": reply(text=""),
    "half a body": reply(text='[{"symbol": "BTC'),
    "a page of the gateway": reply(502, text=HTML),
    "unavailable": reply(503, text=""),
    "disconnected inside": reply(400, {"code": -1001, "msg": "Internal error"}),
    "an odd answer inside": reply(400, {"code": -1006, "msg": "status unknown"}),
    "a timeout inside": reply(408, {"code": "-1007", "msg": "Timeout"}),
    "a 500 with a code": reply(500, {"code": -1000, "msg": "An unknown error"}),
    "no connection": httpx2.ConnectError("refused"),
    "no answer": httpx2.ReadTimeout("slow"),
    "a cut connection": httpx2.RemoteProtocolError("peer closed"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_asked_again_and_each_time_paid(client, name):
    http, venue, ledger = client(PASSING[name], PASSING[name], reply(content={"serverTime": 1}))
    assert ask(http) == {"serverTime": 1}
    assert len(venue.asked) == len(ledger.taken) == 3


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_told_with_what_was_asked_and_no_secret(client, name):
    http, venue, _ = client(PASSING[name], attempts=3)
    with pytest.raises(VenueDown, match=r"GET /fapi/v3/klines of BTCUSDT") as caught:
        ask(http)
    assert len(venue.asked) == 3
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 403, 404, 451])
def test_a_page_of_the_firewall_or_of_no_such_path_is_not_asked_again(client, status):
    http, venue, _ = client(reply(status, text=HTML))
    with pytest.raises(BadGateway) as caught:
        ask(http)
    assert (caught.value.status, len(venue.asked)) == (status, 1)
    assert isinstance(caught.value, VenueDown)


@pytest.mark.parametrize(
    ("status", "code"), [(400, -1121), (404, -1121), (401, -2015), (400, "-4164"), (200, -1102), (400, 40001)]
)
def test_a_wrong_question_is_refused_with_the_venues_code_and_not_repeated(client, status, code):
    http, venue, _ = client(reply(status, {"code": code, "msg": "Invalid symbol."}))
    with pytest.raises(VenueRefused, match=r"Invalid symbol") as caught:
        ask(http)
    assert (caught.value.code, len(venue.asked)) == (str(code), 1)


def test_success_may_carry_a_code_too(client):
    http, _, _ = client(reply(content={"code": "200", "msg": "done"}))
    assert ask(http)["code"] == "200"


THROTTLED = {
    "json": (reply(429, {"code": -1003, "msg": "Too many requests"}), 2),
    "empty, without a word when": (reply(429, text=""), 2),
    "seconds": (reply(429, text="", **{"Retry-After": "7"}), 7),
    "a date": (reply(429, text="", **{"Retry-After": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}), 9),
    "a date without a zone": (reply(429, text=HTML, **{"Retry-After": "Tue, 17 Jun 2025 08:00:31"}), 11),
    "nonsense": (reply(429, text="", **{"Retry-After": "soon"}), 2),
    "zero": (reply(429, text="", **{"Retry-After": "0"}), 2),
    "a code in a 400": (reply(400, {"code": -1015, "msg": "Too many new orders"}), 2),
    "a ban": (reply(418, text=""), 120),
    "a ban with seconds": (reply(418, {"code": -1003, "msg": "banned"}, **{"Retry-After": "600"}), 600),
    "a ban in the text": (
        reply(
            418, {"code": -1003, "msg": f"Way too many requests; IP banned until {int(NOW.timestamp() + 900) * 1000}."}
        ),
        900,
    ),
    "a ban that is over": (reply(418, {"code": -1003, "msg": "banned until 1700000000000"}), 120),
    "a ban for ever": (reply(418, text="", **{"Retry-After": "999999999999"}), 3 * 86_400),
}


TOLD = {"json": 2, "a code in a 400": 2, "a ban": 120, "a ban with seconds": 600, "a ban in the text": 900,
        "a ban that is over": 120, "a ban for ever": 3 * 86_400}  # fmt: skip
"""What the exchange itself says, or a ban: then even a close waits."""


@pytest.mark.parametrize("name", THROTTLED)
def test_only_a_ban_or_the_exchanges_own_word_holds_back_a_close(client, name):
    http, _, ledger = client(THROTTLED[name][0], patience=1.5)
    with pytest.raises(VenueBusy) as caught:
        ask(http)
    told = [(until - NOW).total_seconds() for until, _ in ledger.told]
    assert told == ([TOLD[name]] if name in TOLD else [])
    assert ("but a close" in str(caught.value)) == (name not in TOLD)


def test_a_page_that_speaks_of_a_ban_is_one(client):
    ends = int(NOW.timestamp() + 300) * 1000
    http, _, ledger = client(reply(429, text=f"<p>IP banned until {ends}. Go away.</p>"), patience=1.5)
    with pytest.raises(VenueBusy):
        ask(http)
    assert [until - NOW for until, _ in ledger.told] == [timedelta(seconds=300)]


def test_a_close_waits_no_longer_for_a_guess_of_ours_than_ten_seconds(client):
    http, _, ledger = client(reply(429, {"code": -1003, "msg": "Too many requests"}), patience=1.5)
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(6):
            began = datetime.now(UTC)
            with pytest.raises(VenueBusy) as caught:
                ask(http)
            waits = (ledger.told[-1][0] - began).total_seconds(), (ledger.blocks[-1][0] - began).total_seconds()
            clock.move_to(caught.value.until)
    assert waits == (10, 60)


def test_a_close_is_asked_again_through_an_empty_429_and_not_in_a_burst(client):
    http, venue, ledger = client(reply(429, text=""), reply(429, text=""), reply(content=[1]))
    assert ask(http.urgent()) == [1]
    assert ledger.taken == [(5, Purpose.CLOSING)] * 3
    assert len(ledger.blocks) == 2, "all others wait"
    http, venue, _ = client(reply(429, {"code": -1003, "msg": "Too many"}, **{"Retry-After": "60"}), reply())
    with pytest.raises(VenueBusy, match="Nothing is asked before"):
        ask(http.urgent())
    assert len(venue.asked) == 1


def test_what_is_urgent_has_connections_and_little_patience_of_its_own(client):
    http, venue, ledger = client(reply(content=[1]), timeout=10.0)
    urgent = http.urgent()
    assert http.urgent() is urgent
    assert urgent.urgent() is urgent
    assert (urgent.budget, urgent.base_url) == (ledger, http.base_url)
    ask(urgent)
    assert venue.asked[0].extensions["timeout"]["read"] == http_module.URGENT_TIMEOUT
    assert urgent._wire is not http._wire
    impatient, _, _ = client(reply(), timeout=0.5)
    assert impatient.urgent()._timeout == 0.5


@pytest.mark.parametrize("name", THROTTLED)
def test_too_many_requests_silence_the_whole_installation_for_as_long_as_the_venue_wants(client, name):
    answer, seconds = THROTTLED[name]
    http, venue, ledger = client(answer, patience=1.5)
    with pytest.raises(VenueBusy, match=r"Nothing (but a close )?is asked before") as caught:
        ask(http)
    assert caught.value.until == NOW + timedelta(seconds=seconds)
    assert [until for until, _ in ledger.blocks] == [caught.value.until]
    assert len(venue.asked) == 1


def test_refusals_that_follow_each_other_last_longer_up_to_a_minute_until_an_answer_comes(client):
    http, venue, ledger = client(reply(429, text=""), patience=1.5)
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(8):
            with pytest.raises(VenueBusy) as caught:
                ask(http)
            clock.move_to(caught.value.until)
        venue.answers = [reply()]
        ask(http)
        venue.answers = [reply(429, text="")]
        with pytest.raises(VenueBusy) as caught:
            ask(http)
        assert (caught.value.until - datetime.now(UTC)).total_seconds() == 2
    ends = [NOW, *(until for until, _ in ledger.blocks)][:9]
    assert [(b - a).total_seconds() for a, b in itertools.pairwise(ends)] == [2, 4, 8, 16, 32, 60, 60, 60]


def test_threads_that_are_refused_together_are_one_refusal(client):
    together = threading.Barrier(4)

    def refuse(request):
        together.wait(5)
        return httpx2.Response(429)

    http, _, ledger = client(refuse, patience=1.5)
    outcomes = []

    def run():
        try:
            ask(http)
        except VenueBusy as busy:
            outcomes.append(busy.until)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes == [NOW + timedelta(seconds=2)] * 4
    assert len(ledger.blocks) == 4


def test_a_short_silence_is_waited_for_and_a_long_one_is_told(client):
    soon, late = (VenueBusy("used up", until=NOW + timedelta(seconds=seconds)) for seconds in (8, 40))
    http, venue, _ = client(reply(content={"done": 1}), budget=Ledger(soon))
    assert ask(http) == {"done": 1}
    http, venue, _ = client(reply(), budget=Ledger(late))
    with pytest.raises(VenueBusy) as caught:
        ask(http)
    assert (caught.value.until, venue.asked) == (late.until, [])


def test_jitter_only_lengthens_a_pause(client):
    http, _, _ = client(reply(429, text=""), jitter=0.5, patience=1.5)
    with pytest.raises(VenueBusy) as caught:
        ask(http)
    assert timedelta(seconds=2) <= caught.value.until - NOW <= timedelta(seconds=3)


def test_nothing_is_asked_after_the_deadline(client):
    http, venue, ledger = client(reply())
    with pytest.raises(VenueDown, match="no time is left"):
        ask(http, deadline=Deadline(5, started=time.monotonic() - 6))
    assert venue.asked == ledger.taken == []


def test_no_attempt_begins_that_the_deadline_would_not_see(client):
    http, venue, _ = client(reply(503, text=""))
    started = time.monotonic()
    with pytest.raises(VenueDown):
        ask(http, deadline=Deadline(http_module.FIRST_PAUSE / 2, started=started))
    assert len(venue.asked) == 1


def test_an_attempt_gets_no_more_time_than_the_deadline_leaves(client):
    http, venue, _ = client(reply(), timeout=10.0)
    ask(http, deadline=Deadline(3))
    ask(http, deadline=Deadline(60))
    first, second = (request.extensions["timeout"]["read"] for request in venue.asked)
    assert first <= 3 < second == 10.0


def test_a_body_without_end_is_refused(client):
    http, _, _ = client(reply(text="9" * 10_000_001), attempts=1)
    with pytest.raises(VenueDown, match="more than 10 MB"):
        ask(http)


def test_deep_nesting_is_refused_like_any_garbage(client):
    http, _, _ = client(reply(text="[" * 200_000), attempts=1)
    with pytest.raises(VenueDown, match="no JSON"):
        ask(http)


def test_a_port_where_nobody_listens_is_a_venue_that_is_down():
    with (
        AsterHttp("http://127.0.0.1:1", Ledger(), Purpose.FEED, attempts=1) as http,
        pytest.raises(VenueDown, match=r"127\.0\.0\.1 cannot be reached"),
    ):
        http.get("/fapi/v3/time", weight=1)


def test_a_closed_client_opens_again(client):
    http, _, _ = client(reply(content=[1]))
    ask(http)
    http.close()
    assert ask(http) == [1]
