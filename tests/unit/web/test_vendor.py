"""Third-party files are exactly those that VENDOR.toml names."""

import hashlib
import tomllib

from freehold.server.web.files import FOLDER

VENDOR = FOLDER / "vendor"


def test_digests_and_licences() -> None:
    files = tomllib.loads((VENDOR / "VENDOR.toml").read_text())["file"]
    for file in files:
        assert hashlib.sha256((VENDOR / file["path"]).read_bytes()).hexdigest() == file["sha256"], file["path"]
        assert file["package"]
        assert file["version"]
    named = {f["path"] for f in files} | {f["licence"] for f in files} | {"VENDOR.toml"}
    assert {p.name for p in VENDOR.iterdir()} == named


def test_own_files_ask_nobody_else() -> None:
    for name in ("app.js", "app.css", "icons.svg", "favicon.svg"):
        text = (FOLDER / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "eval(" not in text
