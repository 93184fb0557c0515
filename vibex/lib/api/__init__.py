"""What the API of every app shares: exact amounts, strict filters and bodies, pages, problems."""

from vibex.lib.api.filters import Amount, Filters, filtered
from vibex.lib.api.reading import given

__all__ = ["Amount", "Filters", "filtered", "given"]
