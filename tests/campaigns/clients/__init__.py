"""Clients that are made of the OpenAPI document, and a box office for them to be tried on."""
