"""Secrets."""

from pathlib import Path

import pytest
from tests.unit.sdk.fake_server import FakeServer

import freehold
from freehold.core.errors import AlreadyExistsError, DeprecationError, InvalidError, NotFoundError


def test_by_name_and_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert freehold.Secret.from_name("hf", required_keys=["TOKEN"]).spec.required_keys == ("TOKEN",)
    assert freehold.Secret.from_dict({"A": "1", "B": None}).spec.values == {"A": "1"}
    monkeypatch.setenv("HERE", "yes")
    assert freehold.Secret.from_local_environ(["HERE"]).spec.values == {"HERE": "yes"}
    with pytest.raises(InvalidError, match="NOT_HERE is not set"):
        freehold.Secret.from_local_environ(["HERE", "NOT_HERE"])
    with pytest.raises(InvalidError, match="the value of 'A' is of type int"):
        freehold.Secret.from_dict({"A": 1})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match="cannot name a secret"):
        freehold.Secret.from_name("")


def test_values_are_never_shown() -> None:
    assert "hush" not in repr(freehold.Secret.from_dict({"A": "hush"}))


def test_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "# c",
        "A=1",
        "export B='two # 2'",
        'C="x\\ny"',
        "D=four # note",
        "",
        "E=${A}-${THERE}",
        "F='two",
        "lines'",
        "G=",
        "H",
    ]
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("THERE", "there")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    wanted = {
        "A": "1", "B": "two # 2", "C": "x\ny", "D": "four", "E": "1-there", "F": "two\nlines", "G": "", "H": "",
    }  # fmt: skip
    assert freehold.Secret.from_dotenv(below).spec.values == wanted
    assert freehold.Secret.from_dotenv(tmp_path / ".env").spec.values == wanted
    monkeypatch.chdir(below)
    assert freehold.Secret.from_dotenv().spec.values == wanted
    (below / ".env-dev").write_text("A=dev\n")
    assert freehold.Secret.from_dotenv(filename=".env-dev").spec.values == {"A": "dev"}
    with pytest.warns(UserWarning, match=r"no '\.nope' in"):
        assert freehold.Secret.from_dotenv(tmp_path, filename=".nope").spec.values == {}
    with pytest.raises(InvalidError, match="to look beside"):
        freehold.Secret.from_dotenv(tmp_path / "absent.py")
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(InvalidError, match="cannot be read"):
        freehold.Secret.from_dotenv(tmp_path)


def test_inside_an_instance_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_REMOTE", "1")
    assert freehold.Secret.from_local_environ(["NOT_HERE"]).spec.values == {}
    assert freehold.Secret.from_dotenv("/nowhere").spec.values == {}


def test_the_servers_secrets(server: FakeServer) -> None:
    objects = freehold.Secret.objects
    objects.create("db", {"USER": "me", "NONE": None})
    with pytest.raises(AlreadyExistsError):
        objects.create("db", {"USER": "you"})
    objects.create("db", {"USER": "you"}, allow_existing=True)
    assert server.secrets == {"db": {"USER": "me"}}
    secret = freehold.Secret.from_name("db")
    secret.update({"PASSWORD": "x"})
    assert server.secrets == {"db": {"USER": "me", "PASSWORD": "x"}}
    assert (secret.name, secret.object_id, secret.info().name) == ("db", "st-db", "db")
    objects.create("later", {"A": "1"})
    assert [s.name for s in objects.list()] == ["later", "db"]
    assert [s.name for s in objects.list(max_objects=1)] == ["later"]
    objects.delete("db")
    with pytest.raises(NotFoundError):
        objects.delete("db")
    objects.delete("db", allow_missing=True)
    with pytest.raises(NotFoundError):
        secret.info(refresh=True)
    with pytest.raises(NotFoundError, match="no key 'B'"):
        freehold.Secret.from_name("later", required_keys=["A", "B"]).hydrate()


async def test_async_faces(server: FakeServer) -> None:
    await freehold.Secret.objects.create.aio("db", {"A": "1"})
    secret = await freehold.Secret.from_name("db").hydrate.aio()
    await secret.update.aio({"A": "2"})
    assert server.secrets == {"db": {"A": "2"}}
    assert (await secret.info.aio()).created_at.timestamp() == 2.0
    await freehold.Secret.objects.delete.aio("db")


def test_values_of_the_program_are_not_the_servers(server: FakeServer) -> None:
    own = freehold.Secret.from_dict({"A": "hush"})
    assert own.name is None
    assert own.hydrate() is own
    for use in (lambda: own.update({"A": "2"}), own.info, lambda: own.object_id):
        with pytest.raises(InvalidError, match=r"keep it with Secret\.objects\.create") as caught:
            use()
        assert "hush" not in str(caught.value)
    with pytest.raises(InvalidError, match="the value of 'A' is of type int"):
        freehold.Secret.objects.create("x", {"A": 1})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match="cannot name a secret"):
        freehold.Secret.objects.delete("a/b")


def test_names_that_were_given_up(server: FakeServer) -> None:
    with pytest.warns(DeprecationError, match=r"objects\.create"):
        assert freehold.Secret.create_deployed("db", {"A": "1"}) == "st-db"
    with pytest.warns(DeprecationError, match=r"objects\.create"):
        freehold.Secret.create_deployed("db", {"B": "1"}, overwrite=True)
    assert server.secrets == {"db": {"B": "1"}}
    with pytest.warns(DeprecationError, match="from_name"):
        assert freehold.Secret.lookup("db").object_id == "st-db"


def test_another_environments_secrets(server: FakeServer) -> None:
    freehold.Secret.objects.create("db", {"A": "1"}, environment_name="dev")
    theirs = freehold.Secret.from_name("db", environment_name="dev")
    assert theirs.info().environment_name == "dev"
    assert server.environments == ["dev", "dev"]
    with pytest.raises(InvalidError, match="run with FREEHOLD_ENVIRONMENT=dev"):
        assert theirs.spec
