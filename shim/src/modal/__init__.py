"""Stands as `modal` on a path, for processes that no import hook of Freehold's is in; the first import puts the hook in its place."""

from freehold.modal.alias import install, take_over

install()
take_over(__name__)
