"""What events are found by: texts as a search looks through them."""
