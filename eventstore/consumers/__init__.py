"""Consumers of the history: who takes all that is recorded, in order and from a checkpoint on."""
