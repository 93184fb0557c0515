"""The streams: resumed after a break, silent when rights end, and closed to who has no manners."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Iterator

import pytest
from django.utils import timezone

from accounts.models import Account, ApiKey
from tests.support.demo import person
from trading.consumers import stream, streams
from trading.tests.listening import Listener, cookie_of, listening, tell
from trading.tests.stream_kit import TRADING, House, alices_house, fresh_log, run
from vibex.lib import hub
from vibex.lib.events import EVERYBODY, LOST, Hint, account_topic, log_of_process, person_topic
from vibex.lib.watcher import WAITING, Watcher

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from fresh_log(monkeypatch)


@pytest.fixture
def alice() -> House:
    return alices_house()


@pytest.fixture
def of_alice(alice: House) -> str:
    return account_topic(alice.account.pk)


# -- breaks --------------------------------------------------------------------------------------------------------


@pytest.mark.ci
def test_who_comes_back_gets_what_was_missed_and_nothing_twice(alice, of_alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            tell(of_alice, "account")
            last = (await listener.hear())["sequence"]
        for _ in range(3):
            tell(of_alice, "bot", id=alice.bot.pk)
        tell(account_topic(alice.account.pk + 1), "account")
        async with listening(TRADING, cookie) as listener:
            answer = await listener.subscribe(since=last)
            missed = [await listener.hear() for _ in range(3)]
            tell(of_alice, "account")
            after = await listener.hear()
            assert await listener.quiet()
        return last, answer, missed, after

    last, answer, missed, after = run(scene)
    assert answer["type"] == "resumed"
    sequences = [each["sequence"] for each in (*missed, after)]
    assert sequences == sorted(set(sequences))
    assert sequences[0] > last
    assert [each["kind"] for each in (*missed, after)] == ["bot", "bot", "bot", "account"]


@pytest.mark.parametrize("since", [0, 1, 2**53])
def test_who_was_away_too_long_gets_the_state(alice, since):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            return await listener.subscribe(since=since)

    assert run(scene)["type"] == "snapshot"


def test_who_were_away_too_long_share_one_reading_of_the_state(alice, monkeypatch):
    cookie, state, read = cookie_of(alice.user), streams.TradingEvents.state, []

    def counted(self, wanted, rights):
        read.append(wanted)
        return state(self, wanted, rights)

    monkeypatch.setattr(streams.TradingEvents, "state", counted)

    async def scene():
        several = [Listener(TRADING, cookie) for _ in range(8)]
        for each in several:
            await each.open()
        answers = await asyncio.gather(*(each.subscribe(since=since) for since, each in enumerate(several)))
        for each in several:
            await each.leave()
        return {each["type"] for each in answers}

    assert run(scene) == {"snapshot"}
    assert len(read) <= 2  # who asks while it is read waits for the next


@pytest.mark.parametrize(
    ("kinds", "answer"), [("all", "snapshot"), (["bot"], "resumed")], ids=["all", "few of them are wanted"]
)
def test_who_missed_more_than_may_wait_gets_the_state_instead_and_stays(alice, of_alice, kinds, answer):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as other:  # who reads all the time
            since = (await other.subscribe(kinds=["equity"]))["sequence"]
            log_of_process().put([Hint((of_alice,), "account")] * (WAITING + 10))
            tell(of_alice, "bot", id=alice.bot.pk)
            tell(of_alice, "equity")
            await other.hear()
            async with listening(TRADING, cookie) as listener:
                first = await listener.subscribe(since=since, kinds=kinds)
                if answer == "resumed":
                    assert (await listener.hear())["kind"] == "bot"
                tell(of_alice, "bot", id=alice.bot.pk)
                return first["type"], (await listener.hear())["kind"]

    assert run(scene) == (answer, "bot")


def test_what_happens_while_the_state_is_read_follows_it(alice, of_alice, monkeypatch):
    cookie, state = cookie_of(alice.user), streams.TradingEvents.state

    def slow(self, wanted, rights):
        found = state(self, wanted, rights)
        tell(of_alice, "bot", id=alice.bot.pk)  # after it was read, before it was sent
        return found

    monkeypatch.setattr(streams.TradingEvents, "state", slow)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            first = await listener.subscribe()
            heard = await listener.hear()
            assert await listener.quiet()
            return first, heard

    first, heard = run(scene)
    assert first["type"] == "snapshot"
    assert (heard["kind"], heard["sequence"] > first["sequence"]) == ("bot", True)


def test_when_events_were_lost_everybody_is_told_the_state_anew(alice, of_alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            first = await listener.subscribe()
            tell(EVERYBODY, LOST)
            anew = await listener.hear()
            tell(of_alice, "account")
            return first, anew, await listener.hear()

    first, anew, after = run(scene)
    assert (anew["type"], anew["reset"]) == ("snapshot", True)
    assert first["sequence"] < anew["sequence"] < after["sequence"]


def test_who_comes_while_redis_hangs_is_told_to_come_again(alice, settings, monkeypatch):
    monkeypatch.setattr(hub, "STARTS_WITHIN", 0.3)
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as one, listening(TRADING, cookie) as other:
            return [await one.hear(), await other.subscribe()]

    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings.REDIS_URL = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        assert run(scene) == [{"type": "closed", "code": 4013}] * 2


def test_nothing_is_left_of_connections_that_ended_however_they_did(alice, of_alice):
    cookie, ended = cookie_of(alice.user), []

    async def scene():
        for words in ([], ['{"type":"subscribe"}'], ["nonsense"], ['{"type":"subscribe"}', '{"type":"unsubscribe"}']):
            listener = Listener(TRADING, cookie)
            assert await listener.open()
            for text in words:
                await listener.say(text)
            tell(of_alice, "account")
            tell(person_topic(alice.user.pk), "access")
            await listener.leave()
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            await listener.say("x" * 20_000)
            assert (await listener.hear())["code"] == 4000
        here = hub.hub_of_loop(stream.render, stream.PACES)
        ended.extend([dict(here._people), dict(here._watching)])

    run(scene)
    assert ended == [{}, {}]
    hub._hubs.clear()  # the round of ticks that was going on knows them for the rest of its second
    gc.collect()
    assert [each for each in gc.get_objects() if issubclass(type(each), (Watcher, stream.Stream))] == []


# -- rights that change --------------------------------------------------------------------------------------------


def test_who_is_put_out_hears_nothing_any_more(alice, of_alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            tell(of_alice, "account")
            assert (await listener.hear())["kind"] == "account"
            await stream.in_thread(lambda: alice.user.sign_ins.update(ended=timezone.now()))
            tell(person_topic(alice.user.pk), "access")
            for _ in range(20):
                tell(of_alice, "account")
            return await listener.hear(), await listener.quiet()

    assert run(scene) == ({"type": "closed", "code": 4010}, True)


@pytest.mark.ci
def test_an_account_that_is_taken_away_falls_silent_while_the_others_go_on(alice, of_alice):
    cookie = cookie_of(alice.user)
    other = Account.objects.create(owner=alice.user, name="other", venue="sim")
    bob = person("bob@vibex.local")

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            await stream.in_thread(lambda: Account.objects.filter(pk=alice.account.pk).update(owner=bob))
            tell(person_topic(alice.user.pk), "access")
            for _ in range(20):
                tell(of_alice, "account")
            tell(account_topic(other.pk), "account")
            first = [await listener.hear() for _ in range(2)]
            rest = []
            while not await listener.quiet():
                rest.append(await listener.hear())
            return first, rest

    (gone, anew), rest = run(scene)
    assert (gone["type"], gone["accounts"], gone["reason"]) == ("unsubscribed", [alice.account.pk], "access")
    assert (anew["type"], anew["reset"]) == ("snapshot", True)
    assert [each["id"] for each in anew["accounts"]] == [other.pk]
    assert {each["account"] for each in rest} <= {other.pk}


def test_a_bot_whose_account_is_taken_away_ends_its_stream(alice, of_alice):
    cookie, bob = cookie_of(alice.user), person("bob@vibex.local")

    async def scene():
        async with listening(f"/ws/bots/{alice.bot.pk}/stream/", cookie) as listener:
            await listener.subscribe()
            await stream.in_thread(lambda: Account.objects.filter(pk=alice.account.pk).update(owner=bob))
            tell(person_topic(alice.user.pk), "access")
            tell(of_alice, "bot", id=alice.bot.pk)
            return await listener.hear(), await listener.quiet()

    assert run(scene) == ({"type": "closed", "code": 4004}, True)


def test_a_new_account_joins_those_who_listen_to_all(alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            made = await stream.in_thread(lambda: Account.objects.create(owner=alice.user, name="new", venue="sim"))
            tell(person_topic(alice.user.pk), "access")
            anew = await listener.hear()
            tell(account_topic(made.pk), "account")
            return made, anew, await listener.hear()

    made, anew, after = run(scene)
    assert made.pk in [each["id"] for each in anew["accounts"]]
    assert after["account"] == made.pk


@pytest.mark.ci
def test_a_lost_word_about_rights_is_made_up_for_by_a_second_look(alice, monkeypatch):
    monkeypatch.setattr(stream, "RECHECK_EVERY", 0.5)
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            await stream.in_thread(lambda: alice.user.sign_ins.update(ended=timezone.now()))
            return await listener.hear()

    assert run(scene) == {"type": "closed", "code": 4010}


def test_a_key_opens_a_stream_until_it_is_revoked(alice):
    from accounts.services.api_keys import api_key_create

    key, text = api_key_create(user=alice.user, name="script", scopes=["read"], expires=None, actor=alice.user)

    async def scene():
        listener = Listener(TRADING, origin="", authorization=f"Api-Key {text}")
        assert await listener.open()
        await listener.subscribe()
        await stream.in_thread(lambda: ApiKey.objects.filter(pk=key.pk).update(revoked=timezone.now()))
        tell(person_topic(alice.user.pk), "access")
        tell(account_topic(alice.account.pk), "account")
        heard = await listener.hear()
        await listener.leave()
        return heard

    assert run(scene) == {"type": "closed", "code": 4010}


# -- manners -------------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_own_words(alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.say({"type": "ping", "at": "now"})
            return await listener.hear()

    assert run(scene) == {"type": "pong", "at": "now"}


@pytest.mark.ci
def test_who_answers_no_ping_is_closed_and_any_word_is_an_answer(alice, monkeypatch):
    monkeypatch.setattr(stream, "PING_EVERY", 0.5)
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as silent, listening(TRADING, cookie) as polite:
            heard = []
            while (said := await silent.hear())["type"] == "ping":
                heard.append(said)
                await polite.say({"type": "pong"})
            await polite.say({"type": "ping", "at": "alive"})
            alive = await polite.until(lambda each: each["type"] == "pong")
            return len(heard), said, alive

    assert run(scene) == (2, {"type": "closed", "code": 4408}, {"type": "pong", "at": "alive"})


BAD = [
    "{not json", " ", "[]", "null", "7", '"subscribe"', "{}", '{"type":"nonsense"}', '{"type":"subscribe","acounts":[1]}',
    '{"type":"subscribe","accounts":[]}', '{"type":"subscribe","accounts":["1"]}', '{"type":"subscribe","accounts":[-1]}',
    '{"type":"subscribe","accounts":[1e400]}', '{"type":"subscribe","since":-1}', '{"type":"subscribe","since":1.5}',
    '{"type":"subscribe","symbols":"BTCUSDT"}', '{"type":"subscribe","kinds":[null]}', "[" * 5000,
    '{"type":"subscribe","accounts":[99999999999999999999999999]}', '{"type":"ping","at":7}',
]  # fmt: skip


def test_what_cannot_be_read_is_said_and_then_ends_the_connection(alice):
    cookie = cookie_of(alice.user)

    async def scene():
        found = []
        for first in range(0, len(BAD), 4):
            async with listening(TRADING, cookie) as listener:
                for text in BAD[first : first + 4]:
                    await listener.say(text)
                    found.append(await listener.hear())
                await listener.say("{not json")
                found.append(await listener.hear())
                assert await listener.hear() == {"type": "closed", "code": 4000}
        return found

    assert {(each["type"], each["code"]) for each in run(scene)} == {("error", "bad-message")}


def test_symbols_of_any_characters_are_only_names(alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            return await listener.subscribe(symbols=["\0", "'; DROP TABLE", "\ud83d\ude00"])

    assert run(scene)["type"] == "snapshot"


@pytest.mark.parametrize("much", [["x" * 20_000], ['{"type":"ping"}'] * 101])
def test_too_much_at_once_ends_the_connection(alice, much):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            for text in much:
                await listener.say(text)
            return await listener.until(lambda each: each["type"] == "closed")

    assert run(scene)["code"] == 4000


def test_a_person_has_so_many_connections_and_no_more(alice, monkeypatch):
    monkeypatch.setattr(stream, "MOST_CONNECTIONS", 2)
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as first, listening(TRADING, cookie) as second:
            await first.subscribe(), await second.subscribe()
            async with listening(TRADING, cookie) as third:
                assert await third.hear() == {"type": "closed", "code": 4009}
        async with listening(TRADING, cookie) as again:
            return await again.subscribe()

    assert run(scene)["type"] == "snapshot"


def test_who_opens_many_connections_at_once_has_no_more_of_them(alice, monkeypatch):
    monkeypatch.setattr(stream, "MOST_CONNECTIONS", 2)
    cookie = cookie_of(alice.user)

    async def scene():
        several = [Listener(TRADING, cookie) for _ in range(6)]
        await asyncio.gather(*(each.open() for each in several))
        answers = await asyncio.gather(*(each.subscribe() for each in several))
        for each in several:
            await each.leave()
        return [each.get("code", each["type"]) for each in answers]

    assert sorted(run(scene), key=str) == [4009] * 4 + ["snapshot"] * 2


def test_who_unsubscribes_stays_and_hears_nothing(alice, of_alice):
    cookie = cookie_of(alice.user)

    async def scene():
        async with listening(TRADING, cookie) as listener:
            await listener.subscribe()
            await listener.say({"type": "unsubscribe"})
            assert await listener.hear() == {"type": "unsubscribed", "reason": "asked", "accounts": None}
            tell(of_alice, "account")
            assert await listener.quiet()
            return await listener.subscribe()

    assert run(scene)["type"] == "snapshot"
