"""The history in a file, with what proves it: written, and read again."""
