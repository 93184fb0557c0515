"""One small tree of errors. Each branch says what its catcher has to do.

Pure Python, importable from every layer, the domains included.
"""

from collections.abc import Mapping, Sequence


class VibexError(Exception):
    """Root of all errors that Vibex raises on purpose. The message is for a person and never holds a secret."""


class Retryable(VibexError):
    """A passing fault of the outside world: try again later, nothing was changed."""


class Rejected(VibexError):
    """What was asked cannot be done. Tell the caller; trying again unchanged will fail the same way."""

    def __init__(
        self, message: str, *, code: str = "rejected", errors: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.errors = dict(errors or {})
        """What is wrong, by the name of the field."""


class NeedsOperator(VibexError):
    """Only a person can put this right. The account it concerns is held until then."""


class TooMany(Rejected):
    """It was tried too often. The same may be asked again after `wait` seconds."""

    def __init__(self, wait: float, message: str = "Too many attempts. Wait a moment.") -> None:
        super().__init__(message, code="too-many")
        self.wait = wait
