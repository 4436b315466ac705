"""Names that Modal has given up."""

from pathlib import Path

import modal
import modal.gpu

stub = modal.Stub("compat-old-names")


@stub.function(keep_warm=0, concurrency_limit=2, container_idle_timeout=30, allow_concurrent_inputs=2)
def plain(x: int) -> int:
    return x + 1


@stub.cls()
class Counter:
    def __enter__(self) -> None:
        self.count = 1
        print("entered")

    @modal.method()
    def up(self, by: int) -> int:
        self.count += by
        return self.count

    def __exit__(self, *_: object) -> None:
        print("left")


@stub.function(mounts=[modal.Mount.from_local_file(__file__, remote_path="/data/there.txt")])
def mounted() -> bool:
    return Path("/data/there.txt").is_file()


if modal.is_local():
    print(modal.gpu.A100(size="80GB", count=2), modal.gpu.Any(), modal.gpu.T4())


@stub.local_entrypoint()
def main():
    print(plain.remote(1), mounted.remote())
    print(Counter().up.call(2))
