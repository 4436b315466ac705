"""`freehold app list` with nothing to list."""

import pytest

from freehold.cli import app, control
from freehold.core.states import AppState
from freehold.protocol.schemas import AppView


def _view(name: str, state: AppState) -> AppView:
    return AppView(
        id=f"ap-{name}", name=name, state=state, version=1, created=0.0, stopped=None, description=None, instances=0, functions=(), tags={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([], "no apps; run one with `freehold run` or `freehold deploy`"),
        ([_view("old", AppState.STOPPED)], "no apps that run or are deployed; `freehold app list --all` lists those"),
    ],
)
def test_an_empty_list_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: list[AppView], said: str
) -> None:
    def apps(_: object) -> list[AppView]:
        return known

    monkeypatch.setattr(control, "connect", lambda: None)
    monkeypatch.setattr(control, "apps", apps)
    app.list_()
    assert said in capsys.readouterr().err.replace("\n", " ")
    app.list_(everything=True)
    assert ("old" in capsys.readouterr().out) == bool(known)
