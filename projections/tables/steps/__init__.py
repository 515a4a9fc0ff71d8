"""Tables of steps: what changed how many tickets there are, or what a reservation has, one row for each."""
