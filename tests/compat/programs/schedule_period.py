"""A function that is called by itself every second while its app is up."""

import time

import modal

app = modal.App("compat-schedule-period")


@app.function(schedule=modal.Period(seconds=1))
def tick(times=1):
    print("tick", times, modal.current_function_call_id())


@app.local_entrypoint()
def main(seconds: float = 3.5):
    time.sleep(seconds)
    print("main is done")
