"""All processes of an installation take nonces that rise strictly, and none that the venue would refuse."""

import itertools
import os
import subprocess
import sys
import threading

import pytest
import time_machine
from django.db import connection, transaction

from marketdata.aster.signing import NONCE_AHEAD
from marketdata.models import SignerNonce
from marketdata.services.nonces import NEVER_TAKEN, DatabaseNonces, nonces_forget
from tests.support.tables import tables
from vibex.lib.env import ROOT
from vibex.lib.errors import NeedsOperator

NOW = 1_750_147_220_000_000
SIGNER = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"


@pytest.fixture
def clock(db):
    with time_machine.travel(NOW / 1_000_000, tick=False) as traveller:
        yield traveller


def test_a_nonce_is_the_time_and_rises_where_the_clock_stands(clock):
    nonces = DatabaseNonces()
    assert [nonces.next(SIGNER) for _ in range(3)] == [NOW, NOW + 1, NOW + 2]
    clock.shift(1)
    assert nonces.next(SIGNER) == NOW + 1_000_000


def test_a_new_client_goes_on_where_the_last_one_ended(clock):
    DatabaseNonces().next(SIGNER)
    assert DatabaseNonces().next(SIGNER) == NOW + 1


def test_a_nonce_is_the_venues_time_where_its_clock_is_known_to_differ(clock):
    assert DatabaseNonces(lambda: 2.5).next(SIGNER) == NOW + 2_500_000
    assert DatabaseNonces(lambda: -2.0).next(SIGNER) == NOW + 2_500_001


def test_a_nonce_is_of_the_moment_after_the_clocks_were_compared_however_long_that_takes(clock):
    def compared():
        clock.shift(2)
        return 1.0

    assert DatabaseNonces(compared).next(SIGNER) >= NOW + 3_000_000


def test_signers_count_for_themselves_whatever_the_case_of_their_address(clock):
    nonces = DatabaseNonces()
    assert nonces.next(SIGNER) == nonces.next("0x" + "1" * 40) == NOW
    assert nonces.next(SIGNER.upper()) == NOW + 1


def test_a_clock_put_back_a_little_goes_on_rising(clock):
    nonces = DatabaseNonces()
    nonces.next(SIGNER)
    clock.shift(-4.9)
    assert nonces.next(SIGNER) == NOW + 1


def test_a_clock_put_back_by_more_is_told_with_what_to_do_and_changes_nothing(clock):
    nonces = DatabaseNonces()
    nonces.next(SIGNER)
    clock.shift(-65)
    with pytest.raises(NeedsOperator, match=r"65\.0 s ahead of the clock.*wait 60 s"):
        nonces.next(SIGNER)
    assert SignerNonce.objects.get().last == NOW
    clock.shift(60.001)
    assert nonces.next(SIGNER) == NOW + 1


def test_a_clock_that_once_ran_an_hour_ahead_does_not_stand_in_the_way_for_an_hour(clock):
    """The venue never took what the clock of then gave, so nothing is repeated; closing goes on."""
    nonces = DatabaseNonces()
    clock.shift(3_600)
    nonces.next(SIGNER)
    clock.shift(-3_600)
    assert [nonces.next(SIGNER) for _ in range(2)] == [NOW + 1, NOW + 2]
    clock.shift(1)
    assert nonces.next(SIGNER) == NOW + 1_000_000


@pytest.mark.parametrize("ahead", [NONCE_AHEAD, NEVER_TAKEN])
def test_a_count_that_the_venue_may_have_seen_is_never_left(clock, ahead):
    SignerNonce.objects.create(signer=SIGNER, last=NOW + ahead)
    with pytest.raises(NeedsOperator):
        DatabaseNonces().next(SIGNER)
    assert SignerNonce.objects.get().last == NOW + ahead


def test_no_nonce_is_ever_more_than_five_seconds_ahead(clock):
    SignerNonce.objects.create(signer=SIGNER, last=NOW + NONCE_AHEAD - 2)
    nonces = DatabaseNonces()
    assert nonces.next(SIGNER) == NOW + NONCE_AHEAD - 1
    assert nonces.next(SIGNER) == NOW + NONCE_AHEAD
    with pytest.raises(NeedsOperator):
        nonces.next(SIGNER)


def test_an_operator_may_begin_anew_after_a_clock_that_was_hours_ahead(clock):
    SignerNonce.objects.create(signer=SIGNER, last=NOW + 3_600_000_000)
    SignerNonce.objects.create(signer="other", last=5)
    nonces_forget(signer=SIGNER.upper())
    assert DatabaseNonces().next(SIGNER) == NOW
    assert SignerNonce.objects.get(signer="other").last == 5


def test_a_nonce_that_waited_for_the_database_is_left_unused(clock):
    """The clock is asked four times: before and after each of two tries."""
    delays = iter([0.0, 7.0, 7.0])
    assert DatabaseNonces(lambda: next(delays)).next(SIGNER) == NOW + 7_000_000


@pytest.mark.django_db(transaction=True)
def test_a_nonce_that_was_used_cannot_be_rolled_back():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        DatabaseNonces().next(SIGNER)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_threads_take_nonces_that_rise_and_none_twice():
    """Each thread begins without a row there, with a clock of its own that is up to a second off."""
    taken, start = {}, threading.Barrier(8)

    def work(name):
        nonces = DatabaseNonces(lambda: name / 8)
        start.wait(10)
        try:
            taken[name] = [nonces.next(SIGNER) for _ in range(25)]
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    everything = list(itertools.chain.from_iterable(taken.values()))
    assert len(set(everything)) == len(everything) == 200
    assert all(a < b for one in taken.values() for a, b in itertools.pairwise(one))
    assert SignerNonce.objects.get().last == max(everything)


WORKER = """
import sys, django
django.setup()
from marketdata.services.nonces import DatabaseNonces
nonces = DatabaseNonces(lambda: float(sys.argv[1]))
print(*(nonces.next("0xabc") for _ in range(60)))
"""


@pytest.mark.ci
def test_processes_on_one_sqlite_file_take_nonces_that_rise_and_none_twice(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"VIBEX_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "vibex.settings", "VIBEX_ENV": "dev"}
    tables(tmp_path)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(name / 3)], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
        )
        for name in range(3)
    ]
    taken = [[int(nonce) for nonce in worker.communicate(timeout=100)[0].split()] for worker in workers]
    assert len(set(itertools.chain.from_iterable(taken))) == 180
    assert all(a < b for one in taken for a, b in itertools.pairwise(one))
