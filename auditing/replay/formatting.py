"""How sentences for auditors say numbers, money, tickets and spans of time."""

from datetime import timedelta

# ISO 4217: currencies whose minor unit is no hundredth, by its number of digits.
MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def tickets(quantity: int, name: str) -> str:
    """`2 tickets of Standing`."""
    return f"{quantity:,} {'ticket' if quantity == 1 else 'tickets'} of {plain(name)}"


def taken(taken_count: int, capacity: int) -> str:
    """`312 of 500`."""
    return f"{taken_count:,} of {capacity:,}"


def money(amount_minor: int, currency: str) -> str:
    """`50.00 EUR`, from minor units."""
    digits = MINOR_DIGITS.get(currency, 2)
    whole, rest = divmod(amount_minor, 10**digits)
    return f"{whole:,}.{rest:0{digits}} {currency}" if digits else f"{whole:,} {currency}"


def span(time: timedelta) -> str:
    """`31 ms`, `4.2 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`: two figures of what passed, never negative."""
    milliseconds = max(0, time // timedelta(milliseconds=1))
    seconds = milliseconds // 1000
    if seconds < 1:
        return f"{milliseconds} ms"
    if seconds < 60:
        return f"{milliseconds / 1000:.1f} s"
    if seconds < 3_600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h"


def plain(text: str) -> str:
    """Text that somebody chose, on one line and without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
