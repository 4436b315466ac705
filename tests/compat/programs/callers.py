"""Callers of what another program deployed."""

import time

import modal

app = modal.App("compat-callers")
NAME = "compat-from-name"
Adder = modal.Cls.from_name(NAME, "Adder")


@app.local_entrypoint()
def main():
    echo = modal.Function.from_name(NAME, "echo")
    print(echo.remote("plain"), "|", echo.with_options(env={"MODE": "other"}).remote("varied"))
    print(Adder(start=5).add.remote(1), Adder.with_options(timeout=50)(start=7).add.remote(1), Adder().add.remote(1))
    print(modal.Function.from_id(echo.object_id).remote("by id"))
    print(modal.Function.from_name(NAME, "echo", version=1).remote("version 1"))
    info = echo.info()
    print(info.timeout, info.cpu, info.memory_mib, info.method_names)
    for wrong in (
        lambda: modal.Function.from_name(NAME, "echo", version=7).hydrate(),
        lambda: modal.Cls.from_name(NAME, "Adder", version=7)().add.remote(1),
        lambda: modal.Function.from_name(NAME, "ecko").remote(1),
        lambda: modal.Function.from_name(NAME, "echo", version=0),
    ):
        try:
            wrong()
        except modal.exception.Error as error:
            print(type(error).__name__, error)
    print(modal.Function.lookup(NAME, "echo").remote("looked up"), modal.Cls.lookup(NAME, "Adder")().add.remote(2))
    print(modal.Function.from_name(NAME, "page").web_url == modal.Function.from_name(NAME, "page").get_web_url())
    for _ in range(100):  # lines are collected a moment after they are written
        seen = [entry for entry in echo.logs.tail(50, source="stdout") if "echo says" in entry.message]
        if len(seen) >= 3:
            break
        time.sleep(0.1)
    print(len(seen) >= 3, seen[0].source, {str(e).strip() for e in seen} >= {"echo says plain"})


@app.local_entrypoint()
def apps():
    found = modal.App.lookup(NAME)
    print(
        found.name,
        found.app_id == found.info().app_id,
        found.info().lifecycle.state.value,
        sorted(found.info().functions),
    )
    print(found.get_tags())
    found.set_tags({"team": "web"})
    print(modal.App.lookup(found.app_id).get_tags(), found.get_dashboard_url().endswith(f"/apps/{found.app_id}"))
    made = modal.App.lookup("compat-made", create_if_missing=True)
    again = modal.App.lookup("compat-made", create_if_missing=True)
    print(
        made.app_id == again.app_id,
        made.info().lifecycle.state.value,
        made.info().functions,
        modal.App.lookup(NAME, create_if_missing=True).app_id == found.app_id,
    )
    made.stop()
    print(modal.App.lookup(made.app_id).info().lifecycle.state.value)
    for wrong in (
        lambda: modal.App.lookup("compat-made"),
        lambda: modal.App.lookup("compat-mad"),
        lambda: modal.App.lookup(made.app_id, create_if_missing=True),
        lambda: modal.App("never-run").get_tags(),
    ):
        try:
            wrong()
        except modal.exception.Error as error:
            print(type(error).__name__, str(error).replace(made.app_id, "ID"))
