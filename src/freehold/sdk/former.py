"""How named objects were made before `from_name`: `persisted` and `new`, for old programs, with a warning that shows the new way."""

import hashlib
import sys
from pathlib import Path
from typing import Any, Self

from freehold.core.errors import DeprecationError
from freehold.sdk.tracebacks import is_ours, warn


class Former:
    """What a class with `from_name` inherits these old spellings from."""

    @classmethod
    def persisted(cls, label: str, *_: object, **__: object) -> Self:
        """What is now `from_name(..., create_if_missing=True)`."""
        return cls._formerly(f"persisted({label!r})", label)

    @classmethod
    def new(cls, *_: object, **__: object) -> Self:
        """One of the program's own: what is now `ephemeral()`, or one with a name."""
        return cls._formerly("new()", unnamed())

    @classmethod
    def _formerly(cls, was: str, name: str) -> Self:
        kind: Any = cls
        warn(
            f"{cls.__name__}.{was} is now {cls.__name__}.from_name({name!r}, create_if_missing=True)", DeprecationError
        )
        return kind.from_name(name, create_if_missing=True)


def unnamed() -> str:
    """A name for what the calling line makes: the same in every instance of the program, another once the file has changed."""
    frame = sys._getframe(1)
    while is_ours(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    content = file.read_bytes() if file.is_file() else file.name.encode()
    return f"{file.stem.strip('<>')}-{frame.f_lineno}-{hashlib.sha256(content).hexdigest()[:8]}"
