"""What a function does, as a digest: its code and what that refers to in its module, not where it stands in a file."""

import builtins
import hashlib
from collections.abc import Iterator
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def fingerprint(function: FunctionType) -> str:
    """Sha256 hex. It changes with the function, with helpers, classes and constants of its module that it uses, and with its Python."""
    return _Walk(function.__module__).digest(function)


class _Walk:
    """Goes through what is reachable within one module, each thing once."""

    def __init__(self, module: str) -> None:
        self._module, self._hash, self._seen = module, hashlib.sha256(), set[int]()

    def digest(self, function: FunctionType) -> str:
        self._value(function)
        return self._hash.hexdigest()

    def _say(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else repr(word).encode()
            self._hash.update(len(data).to_bytes(8) + data)

    def _value(self, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self._say(type(value).__name__, value)
        elif isinstance(value, CodeType):
            self._code(value)
        elif isinstance(value, ModuleType):
            self._say("module", value.__name__)
        elif isinstance(value, PurePath):
            self._say("path", str(value))
        elif isinstance(value, (FunctionType, type)):
            self._named(value)
        elif isinstance(value, (tuple, list, dict, set, frozenset)):
            self._items(value)
        else:
            self._object(value)

    def _named(self, value: "FunctionType | type") -> None:
        self._say(value.__module__, value.__qualname__)
        if value.__module__ != self._module or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, FunctionType):
            self._function(value)
            return
        for base in value.__bases__:
            self._value(base)
        for name, member in sorted(vars(value).items()):
            if name not in (
                "__dict__",
                "__weakref__",
                "__doc__",
                "__module__",
                "__firstlineno__",
                "__static_attributes__",
            ):
                self._say(name)
                self._value(member)

    def _function(self, function: FunctionType) -> None:
        self._value(function.__code__)
        self._value(function.__defaults__)
        self._value(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                self._value(cell.cell_contents)
            except ValueError:  # not bound yet
                self._say("empty")
        known = function.__globals__
        for name in sorted(set(_names(function.__code__))):
            if name in known and not hasattr(builtins, name):
                self._say(name)
                self._value(known[name])
        wrapped = getattr(function, "__wrapped__", None)
        if isinstance(wrapped, FunctionType):
            self._value(wrapped)

    def _code(self, code: CodeType) -> None:
        self._say(
            "code", code.co_code, code.co_exceptiontable, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
            code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags,
        )  # fmt: skip
        for const in code.co_consts:
            self._value(const)

    def _items(self, value: Any) -> None:
        self._say(type(value).__name__, len(value))
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, (set, frozenset)):
            for item in sorted(cast("set[Any]", value), key=repr):
                self._value(item)
        elif isinstance(value, dict):
            for key, item in cast("dict[Any, Any]", value).items():
                self._value(key)
                self._value(item)
        else:
            for item in value:
                self._value(item)

    def _object(self, value: Any) -> None:
        """Of ours the kind is enough, and the user's function behind it; of others what their pickle says, where there is one."""
        kind = cast("type[object]", type(value))
        self._say(kind.__module__, kind.__qualname__)
        raw = getattr(value, "raw", None)
        if kind.__module__.startswith(("freehold.", "modal.")):
            if isinstance(raw, (FunctionType, type)):
                self._value(raw)
            return
        if isinstance(value, (staticmethod, classmethod)):
            self._value(cast("staticmethod[Any, Any]", value).__func__)
            return
        if isinstance(value, property):
            for part in (value.fget, value.fset, value.fdel):
                self._value(part)
            return
        if kind.__module__ == self._module:
            self._value(kind)
            self._value(getattr(value, "__dict__", None))
            return
        try:
            self._say(cloudpickle.dumps(value, protocol=5))  # pyright: ignore[reportUnknownMemberType]
        except Exception:  # noqa: BLE001 (locks, handles, whatever: the kind is all that can be told)
            self._say("unpicklable")


def _names(code: CodeType) -> Iterator[str]:
    """Names that code may look up among its module's, with those of functions within it."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)
