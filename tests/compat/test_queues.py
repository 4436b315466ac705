"""Queue, as programs and the command line use it."""

from tests.e2e.harness import Freehold


def test_a_queue_is_used_as_one(server: Freehold) -> None:
    assert server.lines("run", "-q", "queue_basics.py") == [
        "3 1 4 [1, 'two', {'three': 3}] None",
        "1 ['two', {'three': 3}] None [] other",
        "Empty Empty",
        "Full Full",
        "InvalidError InvalidError RequestSizeError",
        "nul 0 4999",
        "0",
    ]


def test_workers_share_a_queue(server: Freehold) -> None:
    assert server.lines("run", "-q", "queue_workers.py") == ["60 True 0", "hello None"]
    server.ok("queue", "delete", "compat-results", "--yes")


def test_the_async_face(server: Freehold) -> None:
    assert server.lines("python", "queue_async.py") == ["True 0", "[0, 1, 2] [0, 1, 2]"]


def test_the_command_line(server: Freehold) -> None:
    assert server.ok("queue", "create", "compat-cli") == "✓ queue compat-cli\n"
    code = "import modal; q = modal.Queue.from_name('compat-cli'); q.put_many([1, 2]); print(q.get())"
    assert server("python", "-c", code).stdout == "1\n"
    assert (server.ok("queue", "peek", "compat-cli"), server.ok("queue", "len", "compat-cli")) == ("2\n", "1\n")
    server.ok("queue", "delete", "compat-cli", "--yes")
    gone = server("queue", "peek", "compat-cli")
    assert (gone.returncode, "no queue 'compat-cli'" in gone.stderr) == (4, True)
