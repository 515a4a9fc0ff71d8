"""The rules of a history, looked at from outside: of an event, of a reservation, of both together."""
