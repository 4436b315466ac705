"""Calls on their way: from a client's link, through a pool's queue, to an instance, and back after the commit."""
