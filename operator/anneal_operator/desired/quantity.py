"""Kubernetes quantities as numbers."""

from decimal import Decimal

_FACTORS = {
    "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}


def number(quantity: str) -> Decimal:
    """The value of a `Quantity`: cores, bytes or a count."""
    digits = quantity.rstrip("mkKMGTi")
    return Decimal(digits) * _FACTORS.get(quantity[len(digits):], Decimal(1))


def cores(quantity: str) -> int:
    """Whole CPU cores, at least one: how many threads are worth starting."""
    return max(1, round(number(quantity)))


def less(quantity: str, part: str, unit: str) -> str:
    """A quantity without a part of it, in whole units; all of it where the part would be more than half."""
    whole, taken = number(quantity), number(part)
    return quantity if taken * 2 > whole else f"{int((whole - taken) / _FACTORS[unit])}{unit}"
