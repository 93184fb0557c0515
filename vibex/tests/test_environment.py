"""What the environment may say, and what happens when it says something else."""

from pathlib import Path

import pytest

from vibex.lib import env
from vibex.lib.account_keys import FORMS
from vibex.lib.variables import VARIABLES, venue_symbols

PRODUCTION = {
    "VIBEX_ENV": "prod",
    "SECRET_KEY": "k3y-with-more-than-fifty-characters-that-nobody-else-knows",
    "CREDENTIALS_KEY": "bm9ib2R5IGVsc2Uga25vd3MgdGhpcyBzZWFsaW5nISE=",
    "ALLOWED_HOSTS": "vibex.example.com",
    "DATABASE_URL": "postgres://user:pass@db:5432/vibex",
}


def faults(tmp_path: Path, **process: str) -> dict[str, str]:
    with pytest.raises(env.BadEnvironment) as refused:
        env.read(tmp_path, process)
    return {fault.name: fault.wrong for fault in refused.value.faults}


def test_an_empty_environment_gives_the_documented_defaults(tmp_path):
    read = env.read(tmp_path, {})
    assert (read.VIBEX_ENV, read.API_HOST, read.API_PORT, read.INTERVAL) == ("dev", "127.0.0.1", 3000, "3m")
    assert read.ASSETS == ("BTC", "ETH", "SOL")
    assert read.DATABASE_URL is None
    assert read.FEATURE_LIVE_TRADING is False


def test_process_goes_before_local_before_environment_before_general(tmp_path):
    (tmp_path / ".env").write_text("API_PORT=1\nINTERVAL=1d\nLLM_MODEL=general\nASSETS=BTC\n")
    (tmp_path / ".env.dev").write_text("API_PORT=2\nINTERVAL=4h\nLLM_MODEL=dev\n")
    (tmp_path / ".env.test").write_text("API_PORT=9\n")
    (tmp_path / ".env.local").write_text("API_PORT=3\nINTERVAL=1h\n")
    read = env.read(tmp_path, {"API_PORT": "4"})
    assert (read.API_PORT, read.INTERVAL, read.LLM_MODEL, read.ASSETS) == (4, "1h", "dev", ("BTC",))


def test_a_file_may_choose_the_environment_whose_file_is_read(tmp_path):
    (tmp_path / ".env.local").write_text("VIBEX_ENV=test\n")
    (tmp_path / ".env.test").write_text("API_PORT=9\n")
    read = env.read(tmp_path, {})
    assert (read.VIBEX_ENV, read.API_PORT) == ("test", 9)


def test_an_empty_value_counts_as_unset(tmp_path):
    (tmp_path / ".env").write_text("LLM_MODEL=from-file\n")
    assert env.read(tmp_path, {"REDIS_URL": "", "LLM_MODEL": ""}).LLM_MODEL == "from-file"


def test_the_process_environment_is_not_changed_by_reading(tmp_path, monkeypatch):
    monkeypatch.delenv("LLM_MODEL", raising=False)
    (tmp_path / ".env").write_text("LLM_MODEL=from-file\n")
    env.read(tmp_path)
    import os

    assert "LLM_MODEL" not in os.environ


@pytest.mark.parametrize("name", [name for name, variable in VARIABLES.items() if variable.has_file])
def test_what_is_secret_can_be_given_as_a_file(tmp_path, name):
    whole = [form.variables("") for form in FORMS.values()]
    partners = {other: VARIABLES[other].example for names in whole if name in names for other in names if other != name}
    file = tmp_path / "secret"
    file.write_text(VARIABLES[name].example + "\n")
    process = {f"{name}_FILE": str(file)} | partners
    assert getattr(env.read(tmp_path, process), name) == VARIABLES[name].example


def test_a_secret_file_that_is_missing_empty_or_doubled_is_a_fault(tmp_path):
    (tmp_path / "empty").write_text("\n")
    found = faults(
        tmp_path,
        LLM_API_KEY_FILE=str(tmp_path / "nowhere"),
        OPENROUTER_API_KEY_FILE=str(tmp_path / "empty"),
        SECRET_KEY="given",
        SECRET_KEY_FILE=str(tmp_path / "empty"),
    )
    assert "cannot be read" in found["LLM_API_KEY_FILE"]
    assert "empty" in found["OPENROUTER_API_KEY_FILE"]
    assert "together with SECRET_KEY" in found["SECRET_KEY_FILE"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VIBEX_ENV", "production"),
        ("DEBUG", "maybe"),
        ("API_PORT", "0"),
        ("API_PORT", "65536"),
        ("API_PORT", "３０００"),
        ("API_PORT", "-1"),
        ("API_HOST", "http://localhost"),
        ("API_HOST", "*"),
        ("ALLOWED_HOSTS", "https://example.com"),
        ("CSRF_TRUSTED_ORIGINS", "example.com"),
        ("DATABASE_URL", "mysql://u@h/db"),
        ("DATABASE_URL", "postgres://u@h"),
        ("DATABASE_URL", "postgres://u@h:port/db"),
        ("REDIS_URL", "localhost:6379"),
        ("ASSETS", ","),
        ("ASSETS", "BTC,BTC"),
        ("ASSETS", "BTCUSDT"),
        ("ASSETS", "B$C"),
        ("INTERVAL", "2m"),
        ("LLM_BASE_URL", "ftp://host/v1"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_LEVELS", "trading"),
        ("LOG_LEVELS", "trading=LOUD"),
        ("LOG_FILES", "perhaps"),
        ("LOG_MAX_TOTAL_MB", "1"),
        ("FEATURE_LIVE_TRADING", "2"),
        ("CREDENTIALS_KEY", "short"),
        ("CREDENTIALS_KEY", f"{PRODUCTION['CREDENTIALS_KEY']},{PRODUCTION['CREDENTIALS_KEY']}"),
        ("CREDENTIALS_KEY", f"{PRODUCTION['CREDENTIALS_KEY']},AAAA"),
        ("CREDENTIALS_KEY", PRODUCTION["CREDENTIALS_KEY"].replace("b", "+")),
        ("LIVE_GATE_DAYS", "0"),
        ("LIVE_GATE_DECISIONS", "-1"),
        ("ASTERDEX_TESTNET_REST_URL", "fapi.asterdex-testnet.com"),
    ],
)
def test_a_wrong_value_is_one_fault_with_an_example(tmp_path, name, value):
    with pytest.raises(env.BadEnvironment) as refused:
        env.read(tmp_path, {name: value})
    [fault] = refused.value.faults
    assert fault.name == name
    assert f"{name}={VARIABLES[name].example}" in str(fault)
    assert "\n" not in str(fault)


def test_every_example_is_a_value_that_is_accepted(tmp_path):
    for name, variable in VARIABLES.items():
        if name != "SECRET_KEY":
            variable.parse(variable.example)


def test_all_faults_are_told_at_once(tmp_path):
    found = faults(tmp_path, API_PORT="x", INTERVAL="2m", FEATURE_LIVE_TRADE="yes", ASTERDEX_API_KEY="k")
    assert set(found) == {"API_PORT", "INTERVAL", "FEATURE_LIVE_TRADE", "ASTERDEX_API_SECRET"}


def test_a_fault_never_shows_the_value_of_a_secret(tmp_path):
    process = {"DATABASE_URL": "mysql://u:hunter2hunter2@h/db", "REDIS_URL": "redis:hunter2hunter2"}
    with pytest.raises(env.BadEnvironment) as refused:
        env.read(tmp_path, process | {"CREDENTIALS_KEY": "hunter2hunter2"})
    assert "hunter2" not in str(refused.value)


def test_what_is_said_to_the_tests_of_a_pipeline_is_no_fault_of_an_installation(tmp_path):
    assert "VIBEX_CI_WITHOUT_DATA" not in faults(tmp_path, VIBEX_CI_WITHOUT_DATA="yes", FEATURE_ENSEMBEL="yes")


def test_an_unknown_variable_of_ours_is_a_fault_that_names_the_near_one(tmp_path):
    assert "VIBEX_DATA_DIR" in faults(tmp_path, VIBEX_DATADIR="x")["VIBEX_DATADIR"]
    assert "FEATURE_ENSEMBLE" in faults(tmp_path, FEATURE_ENSEMBEL="yes")["FEATURE_ENSEMBEL"]


def test_variables_of_others_are_none_of_our_business(tmp_path):
    assert env.read(tmp_path, {"PATH": "/bin", "LLM_MODL": "x"}).LLM_MODEL is None


V3 = {
    "ASTERDEX_USER": "0x" + 20 * "a1",
    "ASTERDEX_SIGNER": "0x" + 20 * "B2",
    "ASTERDEX_PRIVATE_KEY": "0x" + 32 * "c3",
}
WALLET = {"HYPERLIQUID_ADDRESS": "0x" + 20 * "d4", "HYPERLIQUID_PRIVATE_KEY": 32 * "E5"}
V1 = {"ASTERDEX_API_KEY": "k1", "ASTERDEX_API_SECRET": "s1"}
BINANCE = {"BINANCE_API_KEY": "k2", "BINANCE_API_SECRET": "s2"}


def named(variables: dict[str, str], suffix: str) -> dict[str, str]:
    return {f"{name}{suffix}": value for name, value in variables.items()}


def test_keys_stand_under_their_venue_and_account(tmp_path):
    (tmp_path / "secret").write_text("s2\n")
    process = V1 | {"ASTERDEX_API_KEY_MAIN": "k2", "ASTERDEX_API_SECRET_MAIN_FILE": str(tmp_path / "secret")}
    process |= named(V3, "_GRID_2") | named(BINANCE, "_MAIN") | named(WALLET, "_MAIN")
    found = env.read(tmp_path, process).ACCOUNT_KEYS
    assert {whose: keys.kind for whose, keys in found.items()} == {
        ("aster", ""): "aster_v1",
        ("aster", "MAIN"): "aster_v1",
        ("aster", "GRID_2"): "aster_v3",
        ("binance_usdm", "MAIN"): "api_key",
        ("hyperliquid", "MAIN"): "wallet",
    }
    assert found["aster", "MAIN"].parts == {"key": "k2", "secret": "s2"}
    assert found["aster", "GRID_2"].parts["signer"] == V3["ASTERDEX_SIGNER"]
    assert found["hyperliquid", "MAIN"].parts["private_key"] == "0x" + 32 * "e5"
    assert "k2" not in repr(found)


@pytest.mark.parametrize("suffix", ["", "_MAIN"])
@pytest.mark.parametrize("whole", [V1, V3, BINANCE, WALLET])
def test_each_missing_part_of_keys_is_a_fault_that_names_it(tmp_path, whole, suffix):
    if not suffix and whole in (BINANCE, WALLET):
        assert env.read(tmp_path, whole).ACCOUNT_KEYS == {}  # without a name they are not ours
        return
    for missing in whole:
        given = {name: value for name, value in whole.items() if name != missing}
        assert set(faults(tmp_path, **named(given, suffix))) == {f"{missing}{suffix}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASTERDEX_USER", "0x12"),
        ("ASTERDEX_SIGNER", "0x" + 32 * "c3"),  # a private key where an address belongs
        ("ASTERDEX_PRIVATE_KEY", "0x" + 20 * "b2"),
        ("ASTERDEX_PRIVATE_KEY", "abandon ability able about above absent"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "_MAIN"])
def test_a_part_of_another_form_is_a_fault_that_does_not_show_it(tmp_path, name, value, suffix):
    found = faults(tmp_path, **named(V3 | {name: value}, suffix))
    assert set(found) == {f"{name}{suffix}"}
    assert value not in str(found)


def test_keys_of_both_kinds_for_one_account_are_a_fault(tmp_path):
    found = faults(tmp_path, **named(V1, "_MAIN"), **named(V3, "_MAIN"))
    assert "keep the keys of one kind" in found["ASTERDEX_API_KEY_MAIN"]
    assert set(env.read(tmp_path, {**V1, **named(V3, "_MAIN")}).ACCOUNT_KEYS) == {("aster", ""), ("aster", "MAIN")}


def test_a_file_of_a_key_that_cannot_be_read_is_the_only_fault(tmp_path):
    process = named(V1, "_MAIN") | {"ASTERDEX_API_SECRET_MAIN": "", "ASTERDEX_API_SECRET_MAIN_FILE": "/nowhere"}
    assert set(faults(tmp_path, **process)) == {"ASTERDEX_API_SECRET_MAIN_FILE"}


def test_an_account_in_small_letters_is_a_fault_that_shows_the_name_that_is_read(tmp_path):
    found = faults(tmp_path, **{"BINANCE_API_KEY_grid-2": "k", "BINANCE_API_SECRET_GRID_2": "s"})
    assert "BINANCE_API_KEY_GRID_2" in found["BINANCE_API_KEY_grid-2"]


def test_every_secret_is_found_for_masking(tmp_path):
    process = {
        **PRODUCTION,
        "OPENROUTER_API_KEY": "or",
        "ASTERDEX_API_KEY_A": "ka",
        "ASTERDEX_API_SECRET_A": "sa",
    } | named(V3, "_B")
    secrets = set(env.secret_values(env.read(tmp_path, process)))
    assert {
        PRODUCTION["SECRET_KEY"],
        PRODUCTION["DATABASE_URL"],
        "or",
        "ka",
        "sa",
        V3["ASTERDEX_PRIVATE_KEY"],
    } <= secrets
    assert V3["ASTERDEX_USER"] not in secrets


def test_production_starts_when_everything_is_said(tmp_path):
    read = env.read(tmp_path, PRODUCTION)
    assert (read.VIBEX_ENV, read.DEBUG, read.HTTPS) == ("prod", False, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "yes"),
        ("LLM_REPLY_CACHE", "yes"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "x" * 60),
        ("SECRET_KEY", "django-insecure-0123456789012345678901234567890123456789"),
        ("CREDENTIALS_KEY", ""),
        ("CREDENTIALS_KEY", VARIABLES["CREDENTIALS_KEY"].example),
        ("CREDENTIALS_KEY", f"{PRODUCTION['CREDENTIALS_KEY']},{VARIABLES['CREDENTIALS_KEY'].example}"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", ".example.com"),
        ("DATABASE_URL", ""),
    ],
)
def test_production_refuses(tmp_path, name, value):
    assert set(faults(tmp_path, **{**PRODUCTION, name: value})) == {name}


def test_production_tells_everything_it_refuses_at_once(tmp_path):
    found = faults(tmp_path, VIBEX_ENV="prod", DEBUG="yes", API_PORT="x")
    assert set(found) == {"DEBUG", "SECRET_KEY", "CREDENTIALS_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "API_PORT"}


def test_production_runs_on_sqlite_after_an_explicit_yes(tmp_path):
    read = env.read(tmp_path, {**PRODUCTION, "DATABASE_URL": "", "ALLOW_SQLITE_IN_PRODUCTION": "yes"})
    assert read.DATABASE_URL is None


def test_a_missing_sealing_key_is_told_with_the_way_to_make_one(tmp_path):
    assert "base64.urlsafe_b64encode" in faults(tmp_path, **{**PRODUCTION, "CREDENTIALS_KEY": ""})["CREDENTIALS_KEY"]


def test_relative_folders_lie_below_the_repository(tmp_path):
    assert env.read(tmp_path, {}).VIBEX_DATA_DIR == tmp_path / "data"
    assert env.read(tmp_path, {"VIBEX_DATA_DIR": "/elsewhere"}).VIBEX_DATA_DIR == Path("/elsewhere")


def test_a_file_that_is_not_text_is_a_fault(tmp_path):
    (tmp_path / ".env.local").write_bytes(b"LLM_MODEL=\xff\xfe\n")
    assert "not UTF-8" in faults(tmp_path)[".env.local"]


def test_a_line_that_sets_nothing_is_a_fault(tmp_path):
    (tmp_path / ".env").write_text("# fine\n\nLLM_MODEL\nexport API_PORT=3001\n")
    found = faults(tmp_path)
    assert "line 3" in found[".env"]


def test_assets_become_symbols_of_the_venue():
    assert venue_symbols(("BTC", "ETH")) == ("BTCUSDT", "ETHUSDT")


def test_the_example_file_is_in_step_with_the_declarations():
    assert (env.ROOT / ".env.example").read_text(encoding="utf-8") == env.example_file()


def test_the_configuration_page_is_in_step_with_the_declarations():
    page = (env.ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == env.with_table(page)
