"""The processes that act by themselves: projector, expiry, snapshots. Any number of them may run at once."""
