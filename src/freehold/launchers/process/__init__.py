"""Instances as processes of this machine: a venv an image, a warm parent a pool, a mount view where it can be had."""
