"""Analytics over HTTP: how an event sells."""
