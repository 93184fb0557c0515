"""Amounts of every size that markets have pass the gate: a whole price is not a long price."""

from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from decisions.domain.schema import Amount

AMOUNT = TypeAdapter(Amount)


@pytest.mark.parametrize("text", ["116600.1", "112000", "12800000", "99999.9", "0.0000000123", "123456789012345"])
def test_amounts_of_real_markets_are_read_as_written(text):
    assert AMOUNT.validate_python(Decimal(text)) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1234567890123456", "decimal_max_digits"),
        ("112000.12345678901", "decimal_max_digits"),
        ("0.12345678901", "decimal_max_places"),
        ("0", "greater_than"),
        ("NaN", "finite_number"),
    ],
)
def test_amounts_that_no_book_can_keep_are_refused(text, kind):
    with pytest.raises(ValidationError) as refused:
        AMOUNT.validate_python(Decimal(text))
    assert refused.value.errors()[0]["type"] == kind
