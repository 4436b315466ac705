"""What a sandbox, and a command in one, may ask for."""

from collections.abc import Sequence

from freehold.core.errors import InvalidError
from freehold.core.names import check_name, is_variable
from freehold.core.specs import SandboxSpec
from freehold.protocol.schemas import CommandRequest
from freehold.server.sandboxes import outbound

_ARGUMENTS_BYTES, _ENV_BYTES = 2**16, 2**20


def check(spec: SandboxSpec) -> None:
    if spec.name is not None:
        check_name(spec.name, "a sandbox")
    for name, value, most in (
        ("timeout", spec.timeout_s, 7 * 86_400),
        ("idle_timeout", spec.idle_timeout_s, 7 * 86_400),
    ):
        if value is not None and not 0 < value <= most:
            raise InvalidError(f"sandbox: {name}={value!r} is not a number of seconds above 0 and up to {most}")
    if spec.block_network and (spec.ports or spec.cidrs is not None or spec.domains is not None):
        raise InvalidError(
            "sandbox: with block_network=True there are neither open ports nor allowlists: leave them out"
        )
    wrong = next((p for p in spec.ports if not 0 < p < 65_536), None)
    if wrong is not None or len(set(spec.ports)) != len(spec.ports):
        raise InvalidError(f"sandbox: {wrong or spec.ports!r}: give each port once, 1 to 65535")
    outbound.check(spec.cidrs, spec.domains)
    _check_words(spec.command, spec.env)
    _check_folder(spec.workdir)
    for volume in spec.volumes:
        _check_folder(volume.path)


def check_command(request: CommandRequest) -> None:
    if not request.tool and not request.argv:
        raise InvalidError("a command needs at least its program: exec('python', '-c', ...)")
    if request.timeout_s is not None and request.timeout_s <= 0:
        raise InvalidError(f"exec: timeout={request.timeout_s!r} is not a number of seconds above 0")
    _check_words(request.argv, request.env)
    _check_folder(request.workdir)


def _check_words(argv: Sequence[str], env: dict[str, str]) -> None:
    if sum(len(a.encode(errors="surrogatepass")) for a in argv) > _ARGUMENTS_BYTES:
        raise InvalidError(f"the arguments are over {_ARGUMENTS_BYTES} bytes together: write them into a file in there")
    if any("\0" in a for a in argv) or any(not is_variable(k) or "\0" in v for k, v in env.items()):
        raise InvalidError("arguments and variables hold no NUL, and a variable's name no '='")
    if sum(len(k) + len(v) for k, v in env.items()) > _ENV_BYTES:
        raise InvalidError(f"the variables are over {_ENV_BYTES} bytes together: write them into a file in there")


def _check_folder(path: str | None) -> None:
    if path is not None and (not path.startswith("/") or "\0" in path or ".." in path.split("/")):
        raise InvalidError(f"{path!r} is no absolute path without '..': give one such as '/work'")
