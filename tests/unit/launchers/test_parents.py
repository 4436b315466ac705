"""What a failed start says."""

import pytest

from freehold.launchers.process.parents import failed
from freehold.protocol.frames import RemoteFailure


@pytest.mark.parametrize(
    ("kind", "message", "fix"),
    [
        ("builtins.ModuleNotFoundError", "No module named 'numpy'", "image.pip_install"),
        ("builtins.ValueError", "no", ""),
    ],
)
def test_a_module_that_the_image_lacks_comes_with_the_fix(kind: str, message: str, fix: str) -> None:
    error = failed(RemoteFailure(kind, message, "Traceback …", "aborted"))
    first, _, rest = str(error).partition("\n")
    assert first.startswith(f"{kind.removeprefix('builtins.')}: {message}")
    assert fix in first
    assert ("image." in first) == bool(fix)
    assert rest == "Traceback …"
