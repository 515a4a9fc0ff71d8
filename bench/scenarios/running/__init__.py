"""What the processes need: time to begin and to expire, and memory; and two versions of them side by side."""
