"""Numbers, money and spans of time as auditors read them."""

from datetime import timedelta

import pytest

from auditing.replay.formatting import money, plain, span, taken, tickets


@pytest.mark.parametrize(
    ("amount_minor", "currency", "said"),
    [
        (5000, "EUR", "50.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (123_456_789, "USD", "1,234,567.89 USD"),
        (5000, "JPY", "5,000 JPY"),
        (5001, "KWD", "5.001 KWD"),
        (10**16 + 1, "EUR", "100,000,000,000,000.01 EUR"),
    ],
)
def test_money_is_said_in_the_currencys_own_units(amount_minor: int, currency: str, said: str) -> None:
    assert money(amount_minor, currency) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "0 ms"),
        (0.0314, "31 ms"),
        (0.9999, "999 ms"),
        (4.25, "4.2 s"),
        (125, "2 min 5 s"),
        (11_400, "3 h 10 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_span_of_time_has_two_figures_at_most(seconds: float, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


def test_tickets_and_counts_have_separators() -> None:
    assert tickets(1, "Standing") == "1 ticket of Standing"
    assert tickets(2_000, "A\nB") == "2,000 tickets of A B"
    assert taken(1_312, 50_000) == "1,312 of 50,000"


def test_text_that_somebody_chose_can_not_steer_a_terminal() -> None:
    assert plain("a\x1b[31mb\r\n\u202ec") == "a [31mb   c"
