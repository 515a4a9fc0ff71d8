"""Proof: the rules of a history, its seals, and all that is made of it, for a database and for an export."""
