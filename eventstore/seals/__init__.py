"""Seals: a signed Merkle root over each range of the history."""
