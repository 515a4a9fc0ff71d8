"""What an organiser has for sale: its ticket types, and what is withheld of them."""
