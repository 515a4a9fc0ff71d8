"""Accounts over HTTP: register, log in, look at oneself, leave."""
