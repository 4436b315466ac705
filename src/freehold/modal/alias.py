"""The import hook: `import modal`, and its submodules, give Freehold's objects, whether the official package is there or not.

It is installed under `freehold run|serve|deploy|shell|plan|python` and in instances. FREEHOLD_MODAL=official leaves the official package alone.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from freehold.core.errors import InvalidError
from freehold.modal.surface import FOLLOWED_VERSION, MODULES, OLD, WHOLE

if TYPE_CHECKING:
    from importlib.abc import Loader

VARIABLE = "FREEHOLD_MODAL"
_ROOT, _MAIN = "modal", "modal.__main__"


def wanted() -> bool:
    """Whether `modal` is to be Freehold here; InvalidError for a choice that is none."""
    choice = os.environ.get(VARIABLE) or "freehold"
    if choice not in ("freehold", "official"):
        msg = f"{VARIABLE}={choice!r} is neither 'freehold' nor 'official'"
        raise InvalidError(msg)
    return choice == "freehold"


def install() -> None:
    """Let `import modal` find Freehold from here on, if that is wanted. What was imported before stays what it is."""
    if wanted() and not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def take_over(name: str) -> None:
    """Replace a module that stands for the alias; for the package that is found on a path."""
    if wanted():
        sys.modules[name] = _Alias(name)


class _Alias(ModuleType):
    """`modal` or one of its modules. Names are looked up when they are asked for, so that nothing is loaded in vain."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "Modal's names, as Freehold has them.")
        self.__path__ = []  # only the finder finds what is below
        self.__file__ = __file__  # as of any module that is a file; programs print it
        self.__version__ = FOLLOWED_VERSION
        self.__all__ = sorted(_names_of(name))

    def __getattr__(self, name: str) -> Any:
        below = f"{self.__name__}.{name}"
        home = _names_of(self.__name__).get(name)
        if below in MODULES or below in WHOLE:  # first: `modal.exception` has more names than `freehold.exception`
            value = importlib.import_module(below)
        elif home is not None:
            value = _resolve(home)
        else:
            msg = f"module {self.__name__!r} has no attribute {name!r}, as Freehold has it; see docs/reference/modal.md"
            raise AttributeError(msg)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*_names_of(self.__name__), "__version__"})


class _Finder:
    """Finder and loader in one; not of `importlib.abc`, whose import costs as much as all of this module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        root, _, _ = fullname.partition(".")
        if root != _ROOT:
            return None
        if fullname == _MAIN:
            return ModuleSpec(fullname, cast("Loader", self))
        if fullname == _ROOT or fullname in MODULES or fullname in WHOLE:
            return ModuleSpec(fullname, cast("Loader", self), is_package=True)
        msg = f"No module named {fullname!r}: it is not among those of Modal's that Freehold has; see docs/reference/modal.md"
        raise ModuleNotFoundError(msg, name=fullname)

    def get_code(self, fullname: str) -> CodeType:
        """Of the only module that is run: `python -m modal` is the command line."""
        del fullname
        return compile("from freehold.cli.main import main\n\nmain()", __file__, "exec")

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Alias(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in WHOLE:  # one of Freehold's own modules, whole
            sys.modules[module.__name__] = importlib.import_module(WHOLE[module.__name__])


def _names_of(module: str) -> dict[str, str]:
    if module != _ROOT:
        return MODULES.get(module, {})
    return {name: f"freehold:{name}" for name in importlib.import_module("freehold").__all__} | OLD


def _resolve(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(importlib.import_module(module), name)
