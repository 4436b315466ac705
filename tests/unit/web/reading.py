"""Reads a page as a browser would, and tells what must not be in it."""

from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "input", "br", "img", "hr", "rect", "path", "use", "option"})
_ADDRESSES = ("href", "src", "action", "hx-get", "sse-connect", "data-stream")


class Page(HTMLParser):
    """Elements of a page; `faults` are inline scripts and styles, foreign addresses, tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        if self._open:
            self.faults.append(f"left open: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag not in _VOID:
            self._open.append(tag)
        self._judge(tag, found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> matches nothing")

    def handle_data(self, data: str) -> None:
        self.text += data

    def _judge(self, tag: str, attrs: dict[str, str]) -> None:
        if tag == "script" and not attrs.get("src", "").startswith("/static/"):
            self.faults.append(f"script that is not ours: {attrs}")
        if tag in ("style", "iframe", "object", "embed", "base", "img"):
            self.faults.append(f"<{tag}>")
        for name, value in attrs.items():
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.faults.append(f"{name}={value!r}")
            if name in _ADDRESSES and not value.startswith(("/", "#", "http://")):
                self.faults.append(f"{name}={value!r}")
