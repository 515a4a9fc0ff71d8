"""Tables for reading, folded from the history: exactly once, and all at the same position."""
