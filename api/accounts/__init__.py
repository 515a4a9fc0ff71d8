"""Accounts over HTTP: register, log in and out, look at oneself, leave."""
