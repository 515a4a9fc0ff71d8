"""Events over HTTP: the catalogue for everybody; creating, changing and cancelling for organisers."""
