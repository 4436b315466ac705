"""Secrets as programs use them."""

from dataclasses import replace

from tests.e2e.harness import Freehold


def test_secrets_of_every_kind(server: Freehold) -> None:
    here = replace(server, extra=(*server.extra, ("COMPAT_LOCAL", "local")))
    missing = here("run", "-q", "secret_values.py::main")
    assert missing.returncode == 4
    assert "there is no secret 'compat-secret'; make it with `freehold secret create" in missing.stderr
    here.ok("secret", "create", "compat-secret", "OTHER=1")
    lacking = here("deploy", "secret_values.py")
    assert lacking.returncode == 2
    assert "has no key 'TOKEN'; add it with" in lacking.stderr
    here.ok("secret", "create", "compat-secret", "TOKEN=token", "--force")
    changed = here("run", "-q", "secret_values.py::change")
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert changed.stdout.splitlines() == [
        "compat-secret compat-secret True",
        "['compat-secret-2', 'compat-secret']",
        "gone",
    ]
    shown = here("run", "-q", "secret_values.py::main")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.splitlines() == [
        "TOKEN 'nekot'",
        "MORE 'erom'",
        "GIVEN 'nevig'",
        "COMPAT_LOCAL 'lacol'",
        "PLAIN 'nialp'",
        "PUT_IN 'lacol-nialp'",
        "LINES 'owt\\neno'",
        "LAST 'tsal'",
    ]
    unset = server("run", "-q", "secret_values.py::main")
    assert unset.returncode != 0
    assert "COMPAT_LOCAL is not set in this environment: export it first" in unset.stderr
    here.ok("secret", "delete", "compat-secret", "-y")
    here.ok("secret", "delete", "compat-secret", "-y", "--allow-missing")


def test_a_network_file_system_is_a_volume(server: Freehold) -> None:
    done = server("run", "-q", "nfs.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "8",
        "outside inside",
        "['from-inside.txt', 'from-outside.txt'] b'inside'",
        "['from-outside.txt']",
        "['nfs.py']",
    ]
    assert "NetworkFileSystem is given up: use Volume" in done.stderr
    assert "proxy= has no effect on a platform of your own" in done.stderr
