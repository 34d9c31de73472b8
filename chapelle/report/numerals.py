"""How a language writes numbers; the base of the words of files that are signed on paper."""

import msgspec


class Numerals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`decimal` stands before decimals, `thousands` between groups of three digits."""

    decimal: str
    thousands: str

    def number(self, value: float, places: int = 0) -> str:
        """A number with its thousands apart and that many places after the decimal sign."""
        text = f"{value:,.{places}f}"
        return text.translate({ord(","): self.thousands, ord("."): self.decimal})
