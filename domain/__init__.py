"""What can happen in a box office and what is refused: pure, no I/O, no clock."""
