"""Sums of money: US dollars in whole micro-dollars, never in binary fractions."""

from decimal import ROUND_CEILING, Decimal

from groundwork.errors import Invalid

MOST = Decimal("999999999999.999999")
"""What a column of the record holds."""
_MICRO = Decimal("0.000001")


def micro(amount: Decimal) -> Decimal:
    """An amount, rounded up to whole micro-dollars. Raises Invalid for what is no price."""
    if not amount.is_finite() or not 0 <= amount <= MOST:
        raise Invalid(f"{amount} is no amount in US dollars: name one from 0 to {MOST}.")
    return min(amount.quantize(_MICRO, ROUND_CEILING), MOST)


def plain(amount: Decimal) -> str:
    """An amount as bodies show it: exact, without trailing zeros."""
    return f"{amount.normalize():f}"


def shown(amount: Decimal | None) -> str | None:
    """The same where there may be none."""
    return None if amount is None else plain(amount)
