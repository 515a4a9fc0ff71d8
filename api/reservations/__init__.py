"""Reservations over HTTP: reserve, look at one's own, pay, cancel."""
