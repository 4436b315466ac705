"""Sandboxes: places where untrusted code runs. Their lives, their commands' streams, their ways in and out."""
