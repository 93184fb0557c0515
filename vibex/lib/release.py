"""Which version of Vibex this is."""

from functools import cache

from vibex.lib.env import ROOT


@cache
def release() -> str:
    """Return the version of the project, as pyproject.toml has it."""
    import tomllib

    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
