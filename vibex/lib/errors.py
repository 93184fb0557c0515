"""One small tree of errors. Each branch says what its catcher has to do.

Pure Python, importable from every layer, the domains included.
"""


class VibexError(Exception):
    """Root of all errors that Vibex raises on purpose. The message is for a person and never holds a secret."""


class Retryable(VibexError):
    """A passing fault of the outside world: try again later, nothing was changed."""


class Rejected(VibexError):
    """What was asked cannot be done. Tell the caller; trying again unchanged will fail the same way."""

    def __init__(self, message: str, *, code: str = "rejected") -> None:
        super().__init__(message)
        self.code = code


class NeedsOperator(VibexError):
    """Only a person can put this right. The account it concerns is held until then."""
