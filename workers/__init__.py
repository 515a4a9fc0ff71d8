"""The processes that act by themselves: projector, expiry, snapshots, sealing. Any number of them may run at once."""
