"""Secrets and volumes from the command line into functions and back."""

from pathlib import Path

from tests.e2e.harness import Freehold


def test_a_secret_reaches_its_function_and_nobody_else(server: Freehold, tmp_path: Path) -> None:
    missing = server("run", "data.py::key")
    assert missing.returncode == 4, missing.stderr
    assert "e2e-secret" in missing.stderr
    server.ok("secret", "create", "e2e-secret", "OTHER=1")
    assert server("run", "data.py::key").returncode != 0  # API_KEY is required
    assert server("secret", "create", "e2e-secret", "API_KEY=canary-4711").returncode == 6
    server.ok("secret", "create", "e2e-secret", "API_KEY=canary-4711", "--force")
    assert "1174-yranac" in server.ok("run", "-q", "data.py::key")
    shown = server.ok("secret", "list") + server.ok("secret", "list", "--json")
    assert "API_KEY" in shown
    assert "canary-4711" not in shown
    stored = b"".join(p.read_bytes() for p in server.home.glob("freehold.db*"))
    assert b"canary-4711" not in stored


def test_secrets_come_from_files_and_stdin(server: Freehold, tmp_path: Path) -> None:
    dotenv, values = tmp_path / ".env", tmp_path / "values.json"
    dotenv.write_text("A=1\n# no\nB='two words'\n")
    values.write_text('{"C": "3"}')
    server.ok(
        "secret",
        "create",
        "e2e-files",
        "D=-",
        "--from-dotenv",
        str(dotenv),
        "--from-json",
        str(values),
        stdin="from stdin\n",
    )
    keys = next(s["keys"] for s in server.json("secret", "list") if s["name"] == "e2e-files")
    assert sorted(keys) == ["A", "B", "C", "D"]
    server.ok("secret", "delete", "e2e-files", "--yes")
    assert server("secret", "delete", "e2e-files", "--yes").returncode == 4
    assert server("secret", "create", "e2e-files").returncode == 2
    assert server("secret", "create", "e2e-files", "novalue").returncode == 2


def test_a_volume_is_shared_between_functions_and_the_command_line(server: Freehold, tmp_path: Path) -> None:
    server.ok("run", "-q", "data.py::write", "--text", "hello volume")
    assert "hello volume" in server.ok("run", "-q", "data.py::read")
    assert "e2e-volume" in server.ok("volume", "list")
    assert [f["path"].strip("/") for f in server.json("volume", "ls", "e2e-volume")] == ["folder"]
    assert server.ok("volume", "get", "e2e-volume", "/folder/note.txt", "-") == "hello volume"
    local = tmp_path / "note.txt"
    server.ok("volume", "get", "e2e-volume", "/folder/note.txt", str(local))
    assert local.read_text() == "hello volume"
    assert server("volume", "get", "e2e-volume", "/folder/note.txt", str(local)).returncode == 6
    local.write_text("changed here")
    refused = server("volume", "put", "e2e-volume", str(tmp_path), "/folder")
    assert refused.returncode == 6
    assert "'folder/note.txt' is in volume 'e2e-volume' already; pass --force" in refused.stderr
    server.ok("volume", "put", "-f", "e2e-volume", str(local), "/folder/note.txt")
    assert "changed here" in server.ok("run", "-q", "data.py::read")


def test_folders_go_in_and_out_of_a_volume(server: Freehold, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "run.sh").write_text("#!/bin/sh")
    (source / "deep" / "run.sh").chmod(0o755)
    (source / "deep" / "b.bin").write_bytes(bytes(range(256)) * 5000)
    server.ok("volume", "create", "e2e-folders")
    server.ok("volume", "put", "e2e-folders", str(source), "/")
    names = sorted(
        f["path"].strip("/") for f in server.json("volume", "ls", "-r", "e2e-folders") if f["type"] == "file"
    )
    assert names == ["source/a.txt", "source/deep/b.bin", "source/deep/run.sh"]
    server.ok("volume", "get", "e2e-folders", "/source", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "b.bin").read_bytes() == (source / "deep" / "b.bin").read_bytes()
    modes = [(tmp_path / "back" / f).stat().st_mode & 0o777 for f in ("a.txt", "deep/run.sh")]
    assert modes == [0o644, 0o755]
    assert server("volume", "rm", "e2e-folders", "/source").returncode != 0
    server.ok("volume", "rm", "-r", "e2e-folders", "/source")
    assert server.json("volume", "ls", "e2e-folders") == []
    server.ok("volume", "delete", "e2e-folders", "--yes")
    assert server("volume", "ls", "e2e-folders").returncode == 4
