"""How a function scales and what it has to do, changed and looked at while it runs."""

import time

import modal

app = modal.App("compat-autoscaler")


@app.function(max_containers=3)
def work(seconds: float = 0.0) -> None:
    time.sleep(seconds)


@app.cls(scaledown_window=60)
class Model:
    size: int = modal.parameter(default=1)

    @modal.method()
    def run(self) -> int:
        return self.size


def until(condition) -> bool:
    for _ in range(150):
        if condition():
            return True
        time.sleep(0.1)
    return False


@app.local_entrypoint()
def main():
    print(work.autoscaler.settings())
    print(work.get_current_stats())
    print(work.update_autoscaler(min_containers=1, scaledown_window=20))
    print("warm", until(lambda: work.get_current_stats().num_total_runners == 1))
    print(work.autoscaler.update(min_containers=None, max_containers=None).max_containers)
    work.update_autoscaler(max_containers=1)
    calls = [work.spawn(20) for _ in range(3)]
    print("busy", until(lambda: work.get_current_stats().num_running_inputs == 1), work.get_current_stats())
    for call in calls:
        call.cancel(terminate_containers=True)
    big = Model(size=2)
    print(big.update_autoscaler(buffer_containers=1).buffer_containers, Model().update_autoscaler().buffer_containers)
    print(big.run.remote(), big.run.get_current_stats().num_total_runners >= 1)
    big.keep_warm(0)
    for wrong in (
        lambda: work.update_autoscaler(min_containers=5),
        lambda: work.autoscaler.update(scaledown_window=1),
        lambda: big.run.update_autoscaler(min_containers=1),
    ):
        try:
            wrong()
        except modal.exception.InvalidError as error:
            print(error)
