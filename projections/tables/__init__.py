"""The projection tables: each a module that folds its rows and a file of its DDL."""
