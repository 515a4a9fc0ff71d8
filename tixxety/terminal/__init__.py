"""What people see and get at a terminal: sentences, progress, tables, and files that are whole."""
