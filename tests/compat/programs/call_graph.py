"""Which input made which call, and what calls say of themselves."""

import modal
from modal.call_graph import InputStatus

app = modal.App("compat-call-graph")


@app.function()
def leaf(x: int) -> int:
    if x < 0:
        raise ValueError("below zero")
    return x


@app.function()
def middle(x: int) -> int:
    return leaf.remote(x) + sum(leaf.map([10, 20]))


@app.function()
def top() -> int:
    first = sum(middle.map([1, 2]))
    try:
        leaf.remote(-1)
    except ValueError:
        return first
    return 0


def show(node, depth: int = 0) -> None:
    print(
        "  " * depth + f"{node.module_name}.{node.function_name} {InputStatus(node.status).name} {bool(node.task_id)}"
    )
    for child in sorted(
        node.children, key=lambda n: (n.function_name, n.input_id.rpartition(":")[2], n.status, n.function_call_id)
    ):
        show(child, depth + 1)


@app.local_entrypoint()
def main():
    call = top.spawn()
    print(call.get())
    for root in call.get_call_graph():
        show(root)
    roots = call.get_call_graph()
    below = modal.FunctionCall.from_id(roots[0].children[0].function_call_id)
    print(
        below.get_call_graph() == roots,
        call.num_inputs(),
        call.get_dashboard_url().endswith(f"/calls/{call.object_id}"),
    )
    print(modal.FunctionCall.gather(leaf.spawn(1), leaf.spawn(2)), modal.functions.gather(leaf.spawn(3)))
    cancelled = leaf.spawn(4)
    cancelled.get()
    cancelled.cancel()
    print(cancelled.get())
    try:
        modal.FunctionCall.from_id("fc-" + "0" * 28).get(timeout=5)
    except modal.exception.OutputExpiredError as error:
        print("OutputExpiredError", "kept no longer" in str(error))
