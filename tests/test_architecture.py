"""The contracts of the house: which room may import which. They stand in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from importlinter.api import read_configuration

from vibex.lib.env import ROOT

APPS = ("accounts", "marketdata", "decisions", "trading")
LONGEST = 450


def test_imports_keep_the_contracts():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_app_stands_under_the_contracts():
    contracts = {
        contract["name"]: contract for contract in read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    }
    assert set(APPS) <= set(contracts["imports point one way between the apps"]["layers"])
    assert {f"{app}.domain" for app in APPS} == set(contracts["domains are pure"]["source_modules"])


def test_no_module_is_longer_than_one_sitting():
    code = [path for app in ("vibex", *APPS) for path in (ROOT / app).rglob("*.py")]
    written = [path for path in code if "migrations" not in path.parts and "tests" not in path.parts]
    long = {str(path.relative_to(ROOT)): lines for path in written if (lines := path.read_text().count("\n")) > LONGEST}
    assert long == {}


def test_models_have_no_signals_and_no_save_overrides():
    words = ("@receiver(", "post_save", "pre_save", "def save(")
    models = [path for app in APPS for path in [*(ROOT / app).glob("models.py"), *(ROOT / app / "models").glob("*.py")]]
    assert len(models) >= len(APPS)
    assert [f"{path}: {word}" for path in models for word in words if word in path.read_text()] == []
