import threading

import modal

d = modal.Dict.from_name("compat-wrong", create_if_missing=True).hydrate()
for attempt in (
    lambda: d.put(threading.Lock(), 1),
    lambda: d.put("lock", {"inner": threading.Lock()}),
    lambda: d.put("x" * 100_000, 1),
    lambda: d.update({n: n for n in range(10_001)}),
    lambda: modal.Dict.from_name("no/name"),
    lambda: modal.Dict.from_name("compat-wrog").get(1),
    lambda: modal.Dict.objects.create("compat-wrong"),
    modal.Dict,
):
    try:
        print("no error", attempt())
    except modal.exception.Error as error:
        print(type(error).__name__, error)
print(d.len())
modal.Dict.lookup("compat-wrong")
modal.Dict.delete("compat-wrong")
