"""The Celery app; its worker imports this module by name. Arrays need pickle, so everything uses it."""

import os
from importlib import import_module
from typing import Any

from benchmarks import work

_URL = os.environ["BENCH_REDIS"]
celery: Any = import_module("celery")

app: Any = celery.Celery("bench", broker=_URL, backend=_URL)
app.conf.update(task_serializer="pickle", result_serializer="pickle", accept_content=["pickle"])
noop: Any = app.task(work.noop, name="bench.noop")
echo: Any = app.task(work.echo, name="bench.echo")
