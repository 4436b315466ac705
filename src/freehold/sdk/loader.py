"""Finds the app and what to run in `file.py`, `file.py::name` or `-m package.module::name`, for the CLI and the runner."""

import atexit
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from freehold.core.errors import InvalidError, NotFoundError, StartError, UnimplementedError
from freehold.core.specs import Parameter
from freehold.core.suggest import did_you_mean
from freehold.sdk.app import App
from freehold.sdk.cls import Cls, hooks, parameters
from freehold.sdk.entrypoint import Entrypoint
from freehold.sdk.function import Function
from freehold.sdk.marks import marks
from freehold.sdk.source import module_name_of
from freehold.sdk.tracebacks import user_traceback


@dataclass(frozen=True, kw_only=True)
class ClsMethod:
    """A method to run on an object that is yet to be made."""

    cls: Cls
    method: str

    @property
    def name(self) -> str:
        return f"{self.cls.name}.{self.method}"

    @property
    def raw(self) -> Callable[..., Any]:
        return hooks(self.cls.raw).methods[self.method]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the class."""
        return parameters(self.cls.raw)

    def of(self, values: dict[str, Any]) -> Function[..., Any]:
        """The method of an object with these parameters."""
        return self.cls.function(self.method, values)


Runnable = Entrypoint[..., Any] | Function[..., Any] | ClsMethod


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A user's program. `target` is what the reference names, or the only thing that can be meant; None: nothing, or several."""

    app: App
    module: ModuleType
    target: Runnable | None
    choices: tuple[str, ...] = ()  # what could be named when `target` is None


def load_ref(ref: str, *, module: bool = False) -> Loaded:
    """Load a program.

    Raises StartError with the user's own traceback when its code fails, InvalidError when what it declares cannot be,
    NotFoundError when a name is not there.
    """
    where = ref.partition("::")[0]
    loaded, app, name = load_app(ref, module=module)
    entrypoints, functions = app.registered_entrypoints, runnable_functions(app)
    if name:
        target = entrypoints.get(name) or functions.get(name) or _only_method(functions, name)
        if target is None:
            known = [*entrypoints, *functions]
            hint = did_you_mean(name, known) or f": it has {', '.join(known) or 'none'}"
            msg = f"{where} has no entrypoint or function {name!r}{hint}"
            raise NotFoundError(msg)
        return Loaded(app=app, module=loaded, target=target)
    plain = {
        k: f for k, f in functions.items() if marks(f.raw).web is None
    }  # what is served is not run, beside what is
    only = entrypoints or plain or functions
    if len(only) == 1:
        return Loaded(app=app, module=loaded, target=next(iter(only.values())))
    return Loaded(app=app, module=loaded, target=None, choices=(*entrypoints, *functions))


def load_app(ref: str, *, module: bool = False) -> tuple[ModuleType, App, str]:
    """Load a program for the app that a reference is about; with what it names there, which is empty where it names nothing."""
    where, _, name = ref.partition("::")
    loaded = load_module(where) if module else load_file(where)
    first, _, rest = name.partition(".")
    named = getattr(loaded, first, None) if first else None
    return (loaded, named, rest) if isinstance(named, App) else (loaded, find_app(loaded, name), name)


def load_file(path: str) -> ModuleType:
    """Import a file under the name that its place in packages gives it; "-" is stdin."""
    file = _of_stdin() if path == "-" else Path(path).expanduser()
    if not file.is_file():
        hint = f"; for a module write -m {path}" if not path.endswith(".py") else ""
        msg = f"{path!r} is not a file here{hint}"
        raise NotFoundError(msg)
    file = file.resolve()
    name = module_name_of(file)
    root = str(list(file.parents)[name.count(".") + (1 if file.stem == "__init__" else 0)])
    _front(root)
    if "." in name or file.stem == "__init__":
        return load_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        msg = f"{path!r} is not a Python file"
        raise InvalidError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _failed(path, error) from error
    return module


def _of_stdin() -> Path:
    """A program that comes by stdin, in a file of its own, as long as this process lives."""
    folder = tempfile.TemporaryDirectory(prefix="freehold-")
    atexit.register(folder.cleanup)
    file = Path(folder.name, "program.py")
    file.write_bytes(sys.stdin.buffer.read())
    return file


def load_module(name: str) -> ModuleType:
    """Import a module by name, from the working directory on."""
    _front(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name
            and (name == error.name or name.startswith(f"{error.name}."))
        ):
            msg = f"no module {name!r} from {str(Path.cwd())!r}: run from the folder that holds it"
            raise NotFoundError(msg) from error
        raise _failed(name, error) from error


def find_app(module: ModuleType, name: str = "") -> App:
    """The module's app: the one that owns what is named; else `app`, else the only one, or the only one with an entrypoint."""
    apps = {k: v for k, v in vars(module).items() if isinstance(v, App)}
    distinct = list({id(a): a for a in apps.values()}.values())
    first = name.partition(".")[0]
    owners = [
        a
        for a in distinct
        if name in a.registered_entrypoints or first in a.registered_functions or first in a.registered_classes
    ]
    if owners:
        return owners[0]
    if "app" in apps:
        return apps["app"]
    started = [a for a in distinct if a.registered_entrypoints]
    for only in (distinct, started):
        if len(only) == 1:
            return only[0]
    if not distinct:
        msg = f"{module.__name__} has no App: write `app = freehold.App('NAME')` at its top level; a script that makes its own runs under `freehold python`"
        raise NotFoundError(msg)
    msg = f"{module.__name__} has several Apps ({', '.join(apps)}): name one, as FILE::{next(iter(apps))}"
    raise InvalidError(msg)


def runnable_functions(app: App) -> dict[str, Function[..., Any] | ClsMethod]:
    """Functions and methods by the name the command line knows."""
    methods = [ClsMethod(cls=c, method=m) for c in app.registered_classes.values() for m in hooks(c.raw).methods]
    return {**app.registered_functions, **{m.name: m for m in methods}}


def _only_method(functions: "dict[str, Function[..., Any] | ClsMethod]", cls: str) -> "ClsMethod | None":
    """What is meant by the name of a class that has one method."""
    methods = [f for f in functions.values() if isinstance(f, ClsMethod) and f.cls.name == cls]
    return methods[0] if len(methods) == 1 else None


def _front(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _failed(where: str, error: BaseException) -> BaseException:
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return error
    text = user_traceback(error)
    hint = ""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "modal":
        hint = (
            f"\n{error.name!r} is not installed here. If only instances need it, import it inside `with image.imports():` or in the "
            "function; else install it here too."
        )
    kind = (
        type(error) if isinstance(error, (InvalidError, UnimplementedError)) else StartError
    )  # `freehold` ends with its code
    return kind(f"{where} cannot be loaded:\n{text}{hint}".rstrip())
