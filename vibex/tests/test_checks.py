"""What `manage.py check` says about an installation whose parts do not fit together."""

from dataclasses import replace

import pytest

from trading.tests.aster_server_kit import the_connector
from vibex.checks import installation


@pytest.fixture
def sound(settings, tmp_path):
    settings.VIBEX_DATA_DIR = tmp_path / "data"
    settings.VIBEX_LOG_DIR = tmp_path / "logs"
    settings.LOG_FILES = "auto"
    settings.DATABASE_URL = "postgres://user@db/vibex"
    return settings


def ids() -> list[str]:
    found = installation()
    assert all(message.hint for message in found), "every finding says what to do"
    return [message.id for message in found]


def on_sqlite(settings):
    settings.DATABASE_URL = None


def live(settings):
    settings.FEATURES = replace(settings.FEATURES, live_trading=True)


def test_a_sound_installation_has_no_findings(sound):
    assert ids() == []


def test_debug_in_production_is_an_error(sound):
    sound.VIBEX_ENV, sound.DEBUG = "prod", True
    assert ids() == ["vibex.E001"]


def test_a_data_folder_that_cannot_be_written_is_an_error(sound, tmp_path):
    (tmp_path / "file").write_text("")
    sound.VIBEX_DATA_DIR = tmp_path / "file" / "data"
    assert ids() == ["vibex.E002"]


def test_a_log_folder_that_cannot_be_written_is_a_warning(sound, tmp_path):
    (tmp_path / "file").write_text("")
    sound.VIBEX_LOG_DIR = tmp_path / "file" / "logs"
    assert ids() == ["vibex.W001"]
    sound.LOG_FILES = "no"
    assert ids() == []


def test_live_trading_on_sqlite_is_a_warning(sound):
    on_sqlite(sound)
    assert ids() == []
    live(sound)
    assert ids() == ["vibex.W002"]


def test_live_trading_with_debug_is_an_error(sound):
    live(sound)
    sound.DEBUG = True
    assert ids() == ["vibex.E003"]


def test_several_processes_on_one_sqlite_file_are_a_warning(sound):
    on_sqlite(sound)
    sound.REDIS_URL = "redis://127.0.0.1:6379/0"
    assert ids() == ["vibex.W003"]


def test_a_library_that_is_asked_for_and_not_installed_is_an_error(sound):
    sound.ASTERDEX_TRANSPORT = "connector"
    assert ids() == ["vibex.E004"]
    with the_connector():
        assert ids() == []


def test_a_testnet_that_leads_to_real_money_is_an_error(sound):
    sound.ASTERDEX_TESTNET_REST_URL = "https://fapi.asterdex.com"
    assert ids() == ["vibex.E005"]
