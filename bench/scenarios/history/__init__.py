"""What becomes of the history: folded, rebuilt, verified, exported."""
