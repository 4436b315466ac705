"""Names that Modal has given up."""

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


if modal.is_local():
    print(modal.gpu.A100(size="80GB", count=2), modal.gpu.Any(), modal.gpu.T4())


@stub.local_entrypoint()
def main():
    print(plain.remote(1))
    print(Counter().up.call(2))
