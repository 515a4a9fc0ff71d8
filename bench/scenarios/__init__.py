"""One module per scenario; each gives the comparisons it has measured."""
