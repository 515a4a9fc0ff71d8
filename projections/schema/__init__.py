"""The schema that the tables stand in: made, checked, and with views on top."""
