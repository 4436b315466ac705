"""Where code runs and for which call, and retries with a policy."""

import os
import time

import modal

app = modal.App("compat-context")


@app.function()
def where():
    return modal.is_local(), modal.current_function_call_id(), modal.current_input_id()


@app.function()
def told():
    names = ("MODAL_CLOUD_PROVIDER", "MODAL_ENVIRONMENT", "MODAL_IS_REMOTE", "MODAL_REGION")
    return os.environ["MODAL_IMAGE_ID"][:3], os.environ["MODAL_TASK_ID"][:3], *(os.environ[name] for name in names)


@app.function()
def preempted():
    modal.exception.simulate_preemption(1)
    try:
        time.sleep(20)
    except KeyboardInterrupt:
        return "interrupted"


policy = modal.Retries(max_retries=2, backoff_coefficient=1.0, initial_delay=0.2)


attempts = []


@app.function(retries=policy, max_containers=1)
def flaky():
    attempts.append(modal.current_function_call_id())
    if len(attempts) < 3:
        raise modal.Error("not yet")
    return attempts


@app.local_entrypoint()
def main():
    print(modal.is_local(), modal.current_function_call_id(), modal.current_input_id())
    call = where.spawn()
    local, call_id, input_id = call.get()
    print(local, call_id == call.object_id, input_id.startswith(call_id))
    print(*told.remote(), preempted.remote())
    print(policy.max_retries, policy.initial_delay.total_seconds())
    ids = flaky.remote()
    print("attempts:", len(ids), "of calls:", len(set(ids)))
    try:
        raise modal.exception.NotFoundError("nothing")
    except modal.Error as error:
        print("caught", error)
