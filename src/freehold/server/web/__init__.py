"""The dashboard: server-rendered pages over the same services as the API. Sign-in itself is `server.api.auth`."""

from freehold.server.web.files import static_files
from freehold.server.web.page import render_login
from freehold.server.web.routes import build_web, page_access

__all__ = ["build_web", "page_access", "render_login", "static_files"]
