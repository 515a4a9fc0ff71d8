"""What is sold in a rush, and how long that takes."""
