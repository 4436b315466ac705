"""Tracebacks with the user's frames only."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import freehold
from freehold.core.errors import ConnectionError
from freehold.sdk.faces import both_static
from freehold.sdk.secret import Secret
from freehold.sdk.tracebacks import user_traceback


def _caught(call: object) -> str:
    try:
        assert callable(call)
        call()
    except Exception as error:  # noqa: BLE001
        return user_traceback(error)
    raise AssertionError


def test_our_frames_and_what_they_call_are_left_out() -> None:
    @both_static
    async def core() -> None:
        json.load(io.StringIO("{"))

    text = _caught(core)
    assert "faces.py" not in text
    assert "json/decoder.py" in text  # called by this file's own code


def test_what_we_refuse_points_at_the_users_line() -> None:
    text = _caught(lambda: Secret.from_name(""))
    assert "secret.py" not in text
    assert 'Secret.from_name("")' in text
    assert "cannot name a secret" in text.splitlines()[-1]


def test_causes_within_our_code_are_left_out() -> None:
    def fail() -> None:
        inner = ValueError("inner")
        raise ConnectionError("no server") from inner

    text = _caught(fail)
    assert "ValueError" not in text
    assert text.endswith("ConnectionError: no server\n")


def test_causes_of_the_users_are_told() -> None:
    def fail() -> None:
        try:
            _ = 1 / 0
        except ZeroDivisionError as error:
            raise RuntimeError("outer") from error

    text = _caught(fail)
    assert "ZeroDivisionError" in text
    assert "direct cause" in text


def test_a_warning_is_of_the_users_line() -> None:
    app = freehold.App("warned")
    with pytest.warns(UserWarning, match="no effect") as told:
        app.function(region="eu")(_caught)
    assert told[0].filename == __file__


def test_frames_of_ours_are_left_out_where_the_package_is_imported_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "freehold").symlink_to(Path(freehold.__file__).parent, target_is_directory=True)
    code = (
        "from freehold.sdk.serialization import dumps, failure\n"
        "try: dumps(x for x in 'a')\n"
        "except Exception as error: print(failure(error).traceback)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert "cannot be pickled" in done.stdout
    assert "/freehold/" not in done.stdout
    assert "cloudpickle" not in done.stdout
