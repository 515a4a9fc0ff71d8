"""The history in a file: written with what proves it and read again, or written for analysis and other systems."""
