"""What judges a history that is read once: in its one order, stream by stream, and its seals."""
