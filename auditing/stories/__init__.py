"""The story of a purchase or of a buyer, in plain English."""
