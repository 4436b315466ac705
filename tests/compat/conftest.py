"""The programs here run through the real command line against a real server, as those of `tests/e2e` do."""

from tests.e2e.conftest import images, make_home, server

__all__ = ["images", "make_home", "server"]
