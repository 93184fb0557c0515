"""What runs here: what is switched on, where models are asked, in which versions. Never a key, never a password."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from functools import cache

from django.conf import settings

from vibex.lib.env import ROOT
from vibex.lib.errors import Rejected

PACKAGES = ("django", "celery", "openai")


@dataclass(frozen=True, slots=True)
class Installation:
    """How this installation is set up, for people who operate it."""

    environment: str
    features: dict[str, bool]
    """Whether each FEATURE_* is on."""
    decider_host: str
    """Host and port of the model server; "" when none is set and only rules can decide."""
    versions: dict[str, str]


def installation() -> Installation:
    """Return how this installation is set up."""
    features = {f"FEATURE_{name.upper()}": on for name, on in asdict(settings.FEATURES).items()}
    return Installation(settings.VIBEX_ENV, features, _decider_host(), _versions())


def _decider_host() -> str:
    from decisions.llm.endpoints import endpoint_of  # every command loads the pages, few ask who decides

    try:
        return endpoint_of("openrouter").host
    except Rejected:
        return ""


@cache
def _versions() -> dict[str, str]:
    import tomllib
    from importlib.metadata import version

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {"vibex": project["version"], "python": platform.python_version()}
    return own | {name: version(name) for name in PACKAGES}
