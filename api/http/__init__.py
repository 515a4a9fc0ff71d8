"""What HTTP is for us: what may come in, what every answer has, and what each problem looks like."""
