"""Read the environment: process before `.env.local` before `.env.<environment>` before `.env`.

`python -m vibex.lib.env` writes `.env.example` and the table of `docs/configuration.md`.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environ

from vibex.lib.account_keys import FILE, FORMS, GivenKeys, KeyForm, Part, Whose, misspelt, suffixes_in, variable_of
from vibex.lib.errors import Rejected
from vibex.lib.parsers import MAKE_SEALING_KEY
from vibex.lib.variable import Variable
from vibex.lib.variables import VARIABLES, Environment

ROOT = Path(__file__).resolve().parents[2]
SHORTEST_SECRET_KEY = 50
OWN_PREFIXES = ("VIBEX_", "FEATURE_")
PIPELINE_PREFIX = "VIBEX_CI_"  # said to the tests, not to an installation
TABLE_BEGINS, TABLE_ENDS = "<!-- variables: made by python -m vibex.lib.env -->", "<!-- end of variables -->"
MODEL_KEY = "LLM_API_KEY"
"""Key of the server at LLM_BASE_URL; those of other servers end with the name of their provider: LLM_API_KEY_GROQ."""
KEYS_BEGIN, KEYS_END = "<!-- keys of accounts: made by python -m vibex.lib.env -->", "<!-- end of keys -->"
_OF_PROVIDER = re.compile(rf"{MODEL_KEY}_(?P<provider>[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*)")
_LINE = re.compile(r"\s*(#.*)?|(export )?[A-Za-z_0-9]+=.*")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with one variable. Never holds the value of a secret."""

    name: str
    wrong: str
    example: str
    """A line that would be right."""

    def __str__(self) -> str:
        return f"{self.name}: {self.wrong} (example: {self.example})"


class BadEnvironment(Rejected):
    """The environment cannot be used. The message has one line per fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults), code="bad_environment")
        self.faults = faults


@dataclass(slots=True)
class _Reading:
    """Values read so far and what was wrong with the others."""

    raw: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, name: str, wrong: str, example: str | None = None) -> None:
        self.faults.append(Fault(name, wrong, f"{name}={example or VARIABLES[name].example}"))


def read(root: Path = ROOT, process: Mapping[str, str] | None = None) -> Environment:
    """Return the validated environment. Raises BadEnvironment with every fault at once."""
    reading = _Reading(layered(root, os.environ if process is None else process))
    _read_variables(reading)
    _read_account_keys(reading)
    _read_model_keys(reading)
    _refuse_unknown(reading)
    if reading.values.get("VIBEX_ENV") == "prod":
        _refuse_for_production(reading)
    if reading.faults:
        raise BadEnvironment(reading.faults)
    values = {name: _below(root, value) for name, value in reading.values.items()}
    return Environment(**values)


def layered(root: Path, process: Mapping[str, str]) -> dict[str, str]:
    """Return the process environment completed from the files below `root`; empty values count as unset.

    Raises BadEnvironment for a file that cannot be read.
    """
    chosen = _merged({"VIBEX_ENV": process.get("VIBEX_ENV", "")}, root, [".env.local", ".env"])
    environment = chosen.get("VIBEX_ENV", "dev")
    return _merged(process, root, [".env.local", f".env.{environment}", ".env"])


def _merged(process: Mapping[str, str], root: Path, files: list[str]) -> dict[str, str]:
    class Layers(environ.Env):
        ENVIRON = {name: value for name, value in process.items() if value}

    for file in (root / name for name in files):
        if file.is_file():
            _refuse_unreadable(file)
            Layers.read_env(file)
    return {name: value for name, value in Layers.ENVIRON.items() if value}


def _refuse_unreadable(file: Path) -> None:
    """Raise BadEnvironment for what django-environ would pass over in silence."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadEnvironment([Fault(file.name, "is not UTF-8 text", "LLM_MODEL=name")]) from None
    except OSError as error:
        raise BadEnvironment([Fault(file.name, f"cannot be read: {error.strerror}", "chmod 600")]) from None
    bad = [number for number, line in enumerate(lines, 1) if not _LINE.fullmatch(line)]
    if bad:
        raise BadEnvironment([Fault(file.name, f"line {number} sets nothing", "LLM_MODEL=name") for number in bad])


def secret_of(name: str, root: Path = ROOT, process: Mapping[str, str] | None = None) -> str | None:
    """Return the secret that a variable holds, or the file that NAME_FILE names; None when neither is set.

    Raises BadEnvironment for a file that cannot be used.
    """
    reading = _Reading(layered(root, os.environ if process is None else process))
    secret = _raw_value(reading, name)
    if reading.faults:
        raise BadEnvironment(reading.faults)
    return secret


def secret_values(environment: Environment) -> Iterator[str]:
    """Yield every secret that the environment holds."""
    for name, variable in VARIABLES.items():
        value = getattr(environment, name)
        if variable.secret and value:
            yield value
    for keys in environment.ACCOUNT_KEYS.values():
        yield from (keys.parts[part.name] for part in FORMS[keys.kind].parts if part.secret)
    yield from environment.MODEL_KEYS.values()


def _read_variables(reading: _Reading) -> None:
    environment = reading.raw.get("VIBEX_ENV", "dev")
    for name, variable in VARIABLES.items():
        raw = _raw_value(reading, name) if variable.has_file else reading.raw.get(name)
        raw = variable.default_for(environment) if raw is None else raw
        try:
            reading.values[name] = None if raw is None else variable.parse(raw)
        except ValueError as wrong:
            reading.fault(name, str(wrong))


def _raw_value(reading: _Reading, name: str) -> str | None:
    """Return a secret from NAME or from the file that NAME_FILE names."""
    given, file = reading.raw.get(name), reading.raw.get(f"{name}_FILE")
    if file is None:
        return given
    if given is not None:
        reading.fault(f"{name}_FILE", f"is set together with {name}; keep one of them", f"/run/secrets/{name.lower()}")
        return given
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        secret, why = "", getattr(error, "strerror", None) or "not text"
        reading.fault(f"{name}_FILE", f"{file} cannot be read: {why}", f"/run/secrets/{name.lower()}")
        return None
    if not secret:
        reading.fault(f"{name}_FILE", f"{file} is empty", f"/run/secrets/{name.lower()}")
    return secret or None


def _read_account_keys(reading: _Reading) -> None:
    for name, right in misspelt(reading.raw):
        reading.faults.append(Fault(name, f"is not read: an account's name is written as in {right}", f"{right}=…"))
    found: dict[Whose, GivenKeys] = {}
    for form in FORMS.values():
        own = {""} if form.parts[0].variable in VARIABLES else set()
        for suffix in sorted(own | suffixes_in(reading.raw, form)):
            _read_keys(reading, form, suffix, found)
    reading.values["ACCOUNT_KEYS"] = found


def _read_keys(reading: _Reading, form: KeyForm, suffix: str, found: dict[Whose, GivenKeys]) -> None:
    """Add the keys of one kind and account to `found`. A part that is missing is one fault that names it."""
    names = form.variables(suffix)
    given = [name for name in names if name in reading.raw or f"{name}{FILE}" in reading.raw]
    if not given:
        return
    for part, name in zip(form.parts, names, strict=True):
        if name not in given:
            reading.fault(name, f"is missing, while {given[0]} is set", part.example)
    if (other := found.get((form.venue, suffix))) is not None:
        first = FORMS[other.kind].variables(suffix)[0]
        reading.fault(given[0], f"is set together with {first}; keep the keys of one kind", form.parts[0].example)
    parts = {part.name: _part(reading, part, name) for part, name in zip(form.parts, names, strict=True)}
    whole = {name: value for name, value in parts.items() if value is not None}
    if len(whole) == len(parts):
        found.setdefault((form.venue, suffix), GivenKeys(form.kind, whole))


def _part(reading: _Reading, part: Part, name: str) -> str | None:
    """Return one part of an account's keys; None, with a fault, for one that is missing or of another form."""
    if name in VARIABLES:
        value: str | None = reading.values.get(name)
        return value
    raw = _raw_value(reading, name)
    try:
        return None if raw is None else str(part.parse(raw))
    except ValueError as wrong:
        reading.fault(name, str(wrong), part.example)
        return None


def _read_model_keys(reading: _Reading) -> None:
    """Read the keys of providers that have no variable of their own, by the provider's name in capitals."""
    found: dict[str, str] = {}
    names = {name.removesuffix(FILE) for name in reading.raw} - {MODEL_KEY}
    for name in sorted(names):
        given = _OF_PROVIDER.fullmatch(name)
        if given is None:
            continue
        provider = given["provider"]
        if provider != provider.upper():
            right = f"{MODEL_KEY}_{provider.upper()}"
            reading.faults.append(
                Fault(name, f"is not read: a provider's name is written as in {right}", f"{right}=your-key")
            )
        elif (key := _raw_value(reading, name)) is not None:
            found[provider] = key
    reading.values["MODEL_KEYS"] = found


def _refuse_unknown(reading: _Reading) -> None:
    known = {*VARIABLES, *(f"{name}_FILE" for name, variable in VARIABLES.items() if variable.has_file)}
    for name in sorted(reading.raw):
        if name.startswith(OWN_PREFIXES) and not name.startswith(PIPELINE_PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            reading.faults.append(_unknown(name, close[0] if close else None))


def _unknown(name: str, meant: str | None) -> Fault:
    if meant is None:
        return Fault(name, "is no variable of Vibex; remove it", f"unset {name}")
    example = VARIABLES[meant.removesuffix("_FILE")].example
    return Fault(name, f"is no variable of Vibex; did you mean {meant}?", f"{meant}={example}")


def _refuse_for_production(reading: _Reading) -> None:
    values = reading.values
    if values.get("DEBUG"):
        reading.fault("DEBUG", "must be off in production", "no")
    if values.get("LLM_REPLY_CACHE"):
        reading.fault(
            "LLM_REPLY_CACHE", "must be off in production: a kept reply is no decision on today's market", "no"
        )
    _refuse_secret_key(reading)
    _refuse_sealing_key(reading)
    if "ALLOWED_HOSTS" in values:
        _refuse_hosts(reading, values["ALLOWED_HOSTS"])
    bad_database = "DATABASE_URL" not in values
    if not (bad_database or values["DATABASE_URL"] or values.get("ALLOW_SQLITE_IN_PRODUCTION")):
        reading.fault("DATABASE_URL", "is missing; say ALLOW_SQLITE_IN_PRODUCTION=yes to run production on SQLite")


def _refuse_secret_key(reading: _Reading) -> None:
    key = reading.values.get("SECRET_KEY")
    if key is None:
        if not any(fault.name == "SECRET_KEY_FILE" for fault in reading.faults):
            reading.fault("SECRET_KEY", "is missing in production")
    elif key.startswith("django-insecure-") or key == VARIABLES["SECRET_KEY"].example or len(set(key)) < 5:
        reading.fault("SECRET_KEY", "is a default that everybody knows")
    elif len(key) < SHORTEST_SECRET_KEY:
        reading.fault("SECRET_KEY", f"has {len(key)} characters, production needs {SHORTEST_SECRET_KEY}")


def _refuse_sealing_key(reading: _Reading) -> None:
    if "CREDENTIALS_KEY" not in reading.values:
        return  # told already
    keys = reading.values["CREDENTIALS_KEY"]
    if keys is None:
        if not any(fault.name == "CREDENTIALS_KEY_FILE" for fault in reading.faults):
            reading.fault("CREDENTIALS_KEY", f"is missing in production; {MAKE_SEALING_KEY}")
    elif VARIABLES["CREDENTIALS_KEY"].example in keys:
        reading.fault("CREDENTIALS_KEY", f"holds the example that everybody knows; {MAKE_SEALING_KEY}")


def _refuse_hosts(reading: _Reading, hosts: tuple[str, ...]) -> None:
    if not hosts:
        reading.fault("ALLOWED_HOSTS", "is missing in production")
    if any(host == "*" or host.startswith(".") for host in hosts):
        reading.fault("ALLOWED_HOSTS", "must not hold wildcards in production")


def _below(root: Path, value: Any) -> Any:
    """Anchor relative folders at the root of the repository, wherever the process was started."""
    return (root / value).resolve() if isinstance(value, Path) else value


def example_file() -> str:
    """Return the content of `.env.example`: every variable, explained, commented out."""
    lines = [
        "# Copy to .env.local and fill in. Made by `python -m vibex.lib.env`; docs/configuration.md explains it.",
        "# A secret may lie in a file instead: SECRET_KEY_FILE=/run/secrets/secret_key in the place of SECRET_KEY.",
    ]
    section = ""
    for name, variable in VARIABLES.items():
        if variable.section != section:
            section = variable.section
            lines += ["", f"# --- {section} ---"]
        lines += [f"# {variable.help} Default: {_default_text(variable)}.", f"# {name}={variable.example}"]
    lines += [
        "",
        "# --- Keys of other model servers, by the provider's name: here that of `groq` (docs/models.md) ---",
        f"# {MODEL_KEY}_GROQ=your-key",
    ]
    lines += ["", "# --- Keys of live accounts, by the account's name: here those of `main` ---"]
    for form in FORMS.values():
        lines.append(f"# {form.title}:")
        lines += [f"# {variable_of(part, 'MAIN')}={part.example}" for part in form.parts]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Return the table of `docs/configuration.md`."""
    lines = ["| variable | what it does | default | example |", "|---|---|---|---|"]
    for name, variable in VARIABLES.items():
        shown = f"`{name}` (or `{name}_FILE`)" if variable.has_file else f"`{name}`"
        lines.append(f"| {shown} | {variable.help} | {_default_text(variable)} | `{variable.example}` |")
    return "\n".join(lines) + "\n"


def keys_table() -> str:
    """Return the table of the variables that end with an account's name."""
    lines = ["| keys | variables of the account `main` |", "|---|---|"]
    for form in FORMS.values():
        names = ", ".join(f"`{name}`" for name in form.variables("MAIN"))
        lines += [f"| {form.title} | {names} |"]
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return the page with each table between its two markers renewed."""
    for begins, content, ends in ((TABLE_BEGINS, table(), TABLE_ENDS), (KEYS_BEGIN, keys_table(), KEYS_END)):
        before, _, rest = page.partition(begins)
        _, _, after = rest.partition(ends)
        page = f"{before}{begins}\n{content}{ends}{after}"
    return page


def _default_text(variable: Variable) -> str:
    if isinstance(variable.default, Mapping):
        return ", ".join(f"{name}: {value or 'none'}" for name, value in variable.default.items())
    return variable.default or "none"


if __name__ == "__main__":
    page = ROOT / "docs" / "configuration.md"
    (ROOT / ".env.example").write_text(example_file(), encoding="utf-8")
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
