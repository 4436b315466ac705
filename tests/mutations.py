"""Guards taken out, one at a time, each with the test that has to fail then: a test that cannot fail proves nothing.

    make mutations [ARGS="r1 s3"]

Each runs against a copy of the source, so the tree stays as it is. `tests/unit/test_mutations.py` fails when an edit fits no more.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
RELIABILITY, SECURITY = "tests/e2e/reliability", "tests/e2e/security"


@dataclass(frozen=True)
class Edit:
    """In `file` below src/freehold, `old` (there once) becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    name: str
    without: str  # what is missing then
    test: str  # a pytest node, or a file and a word: "path -k word"
    edits: tuple[Edit, ...]


def _m(name: str, without: str, test: str, *edits: tuple[str, str, str]) -> Mutation:
    return Mutation(name, without, test, tuple(Edit(*edit) for edit in edits))


_DURABLE, _ENDS, _INSTANCES = (f"{RELIABILITY}/test_{name}.py" for name in ("durability", "ends", "instances"))
_DISPATCHER, _FLEET, _RECORD = (f"server/dispatch/{name}.py" for name in ("dispatcher", "fleet", "record"))

MUTATIONS = (
    _m(
        "sb-settings", "the cover over the kernel's settings in a sandbox", "tests/unit/launchers/test_jail_plan.py -k kernels_settings",
        ("launchers/process/jail.py", '"--proc", "/proc", *_proc()', '"--proc", "/proc"'),
    ),
    _m(
        "sb-trace", "that the first process of a sandbox cannot be traced", "tests/integration/launchers/test_jail.py -k neither_traced",
        ("launchers/process/inside/warden.py", "prctl(_PR_SET_DUMPABLE, 0, 0", "prctl(_PR_SET_DUMPABLE, 1, 0"),
    ),
    _m(
        "sb-descriptors", "that commands in a sandbox inherit their streams only",
        "tests/integration/launchers/test_jail.py -k three_streams",
        ("launchers/process/inside/warden.py", "os.set_inheritable(fd, False)\n        message", "pass\n        message"),
    ),
    _m(
        "sb-rebound", "the check of the address that an allowed name leads to", "tests/unit/server/test_sandbox_outbound.py -k no_list",
        ("server/sandboxes/outbound.py", "return plain.is_global and not plain.is_multicast and self._names(name)", "return self._names(name)"),
    ),
    _m(
        "sb-believed", "that a sandbox whose first process lies is killed", "tests/integration/launchers/test_jail.py -k lies_is_killed",
        ("launchers/process/held.py", "            self.fault = why\n            self.kill_now()", "            self.fault = why"),
    ),
    _m(
        "r1-answer", "the wait for the commit before a call is acknowledged", f"{_DURABLE} -k no_acknowledged",
        (_RECORD, "call.noted = call.persisted = True\n        tasks", "call.noted = call.persisted = True\n        subscriber.send(Accepted(call.id))\n        tasks"),
    ),
    _m(
        "r1-resume", "the resumption of accepted calls after a restart", f"{_DURABLE} -k no_acknowledged",
        ("server/restart.py", "        dispatcher.adopt(call)\n", "        del call\n"),
    ),
    _m(
        "r1-sync", "the sync at each commit", "tests/integration/store/test_sqlite_faults.py",
        ("server/store/sqlite_connect.py", '"synchronous=FULL"', '"synchronous=OFF"'),
    ),
    _m(
        "r3-lease", "the end of a lease", f"{_INSTANCES} -k r3",
        (_FLEET, "now - instance.last_beat > self.lease_s", "False"),
    ),
    _m(
        "r3-fence", "all that keeps out an instance that lost its lease: its end, its link's, the attempt's number", f"{_INSTANCES} -k r3",
        (_FLEET, "            instance.link.abort()\n        self.dispatcher.instance_died(instance, reason)\n        self.kill(instance, reason=reason)\n", "            pass\n        self.dispatcher.instance_died(instance, reason)\n"),
        (_DISPATCHER, "task = instance.tasks.get((message.call, message.index))\n        if task is None or task.attempt != message.attempt:\n            self.stale_results", "task = self.calls[message.call].tasks.get(message.index) if message.call in self.calls else None\n        if task is None:\n            self.stale_results"),
        (_DISPATCHER, "        del instance.tasks[task.key]\n        task.started = message.started\n", "        instance.tasks.pop(task.key, None)\n        if task.state is CallState.PENDING:\n            task.move(CallState.RUNNING)\n        task.started = message.started\n"),
    ),
    _m(
        "r4-late", "the prompt requeue of what a dead instance held", f"{_INSTANCES} -k calls_end",
        (_DISPATCHER, "            pool.put_back(back)\n", "            asyncio.get_running_loop().call_later(8.0, pool.put_back, back)\n"),
    ),
    _m("r4-poison", "the last attempt of an input that kills", f"{_INSTANCES} -k poisonous", ("core/retry.py", "MAX_CRASHES = 3", "MAX_CRASHES = 6")),
    _m(
        "r6-tree", "pid namespace and keeper", f"{_ENDS} -k r6",
        ("launchers/process/sandbox.py", "if first is None:", "if first is None and not bwrap:"),
        ("launchers/process/launcher.py", 'kept=self._level != "pids"', "kept=False"),
    ),
    _m(
        "schedule-once", "the look for a scheduled call that the server before had made", "tests/unit/server/test_schedules.py",
        ("server/services/schedules.py", '        if await self._record.find(workspace, "", function.id, key) is not None:\n            return False\n', ""),
    ),
    _m(
        "schedule-missed", "the one call for all that was due while the server was down", "tests/unit/server/test_schedules.py",
        ("server/services/schedules.py", "max(due, self._clock.now()) if called else due", "due"),
    ),
    _m("r12-drain", "the time to finish at SIGTERM", f"{_ENDS} -k r12", ("server/app.py", "self.fleet.close, grace_s=settings.drain_s", "self.fleet.close, grace_s=0.0")),
    _m("r12-resume", "the resumption of accepted calls after a restart", f"{_ENDS} -k r12", ("server/restart.py", "        dispatcher.adopt(call)\n", "        del call\n")),
    _m("r16-grace", "the end of what does not heed its cancellation", f"{_INSTANCES} -k r16", (_DISPATCHER, "CANCEL_GRACE_S = 2.0", "CANCEL_GRACE_S = 3600.0")),
    _m("r16-tree", "the end of processes that a cancelled input left", f"{_INSTANCES} -k r16", (_FLEET, "if instance.pid is not None and has_children(instance.pid):", "if False:")),
    _m(
        "r20-buffer", "the write of each line as it is printed", f"{_ENDS} -k r20",
        ("runner/output.py", "        view = memoryview(data)\n", "        self._held = getattr(self, '_held', b'') + data\n        if len(self._held) < 100_000:\n            return\n        data, self._held = self._held, b''\n        view = memoryview(data)\n"),
    ),
    _m("r20-resume", "the note of how far a log was collected", f"{_ENDS} -k r20", ("server/logs/collector.py", "self._resume.pop(instance, 0)", "0")),
    _m("r21-parent", "the one warm parent of a pool", f"{_INSTANCES} -k r21", ("launchers/process/launcher.py", "if parent is None or parent.gone.is_set():", "if pool:")),
    _m(
        "r21-limit", "max_containers", f"{_INSTANCES} -k r21",
        ("core/autoscaler.py", "desired if scaling.max_instances is None else min(desired, scaling.max_instances)", "min(desired, 4)"),
        ("core/autoscaler.py", "desired if most is None else most - pool.live - pool.leaving", "4 - pool.live"),
    ),
    _m("s1-table", "a row of the authorisation table", "tests/unit/api/test_auth.py", ("server/api/auth.py", '    "GET /v1/secrets": Access.ADMIN,\n', "")),
    _m("s1-expiry", "the end of a session", f"{SECURITY}/test_access.py", ("server/api/auth.py", 'content["ends"] <= self.now()', "False")),
    _m("s1-role", "the difference between an instance and the owner", f"{SECURITY}/test_access.py", ("server/api/gatekeeper.py", "principal.role is not Access.ADMIN:", "False:")),
    _m("s1-link", "the token of a link", f"{SECURITY}/test_access.py", ("server/link.py", "        if not self.knows(message.token):", "        if not self:")),
    _m("s2-token", "a token of each home's own", f"{SECURITY}/test_listening.py", ("server/claim.py", "secrets.token_urlsafe(32).encode()", 'b"x" * 43')),
    _m("s2-bind", "the refusal of a bind beyond loopback", "tests/unit/server/test_settings.py", ("server/settings.py", "if not settings.loopback and not settings.allow_remote:", "if not settings:")),
    _m(
        "s3-results", "opaque results", f"{SECURITY}/test_opaque.py -k s3",
        (_RECORD, "    traceback = None\n", "    import contextlib, pickle\n    with contextlib.suppress(Exception):\n        pickle.loads(payload.data)\n    traceback = None\n"),
    ),
    _m(
        "s3-arguments", "opaque arguments", f"{SECURITY}/test_opaque.py -k s3",
        ("server/link.py", "        if message.again or message.key:\n", "        import contextlib, pickle\n        with contextlib.suppress(Exception):\n            pickle.loads(message.inputs[0].payload.data)\n        if message.again or message.key:\n"),
    ),
    _m(
        "r22-once", "the removal of what is taken from a queue", "tests/unit/server/test_queues.py",
        ("server/services/queues.py", "            tx.write(writes.take_queue_items(*spot, rows[-1][0]))\n", ""),
    ),
    _m(
        "r22-back", "the way back of items whose getter has left", "tests/unit/server/test_queues.py -k cancelled_getter",
        ("server/services/queues.py", "task.add_done_callback(lambda done: done.cancelled() or done.exception() or left(done.result()))", "pass"),
    ),
    _m(
        "s5-shell", "files made without a command", f"{SECURITY}/test_opaque.py -k s5",
        ("server/services/secrets.py", "        _check_name(name)\n        if not values:", "        import subprocess\n        subprocess.run(['echo', name])\n        _check_name(name)\n        if not values:"),
    ),
    _m(
        "s6-volumes", "both guards of a volume's root", f"{SECURITY}/test_paths.py -k request",
        ("server/services/beneath.py", 'if path.startswith("/") or ".." in names or', "if"),
        ("server/services/beneath.py", "flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS", "flags, 0, 0"),
    ),
    _m("s6-links", "the guard against links out of a volume", f"{SECURITY}/test_paths.py", ("server/services/beneath.py", "flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS", "flags, 0, 0")),
    _m("s6-logs", "plain file names of logs", "tests/unit/logs", ("server/logs/files.py", '_UNSAFE.sub("_", app)[:200].lstrip(".") or "_"', "app")),
    _m("s9-log", "silence on a secret's values", f"{SECURITY}/test_secret_canary.py", ("server/services/secrets.py", "        _check_values(values)\n        async with", '        _check_values(values)\n        _log.info("put", extra={"given": str(values)})\n        async with')),
)  # fmt: skip


def mutate(source: Path, mutation: Mutation) -> None:
    """Take the guard out of this copy. ValueError when an edit does not fit in exactly one place."""
    for edit in mutation.edits:
        path = source / "freehold" / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            msg = (
                f"{mutation.name}: {edit.old!r} stands {text.count(edit.old)} times in {edit.file}; write the edit anew"
            )
            raise ValueError(msg)
        path.write_text(text.replace(edit.old, edit.new))


def run(mutation: Mutation) -> tuple[bool, str]:
    """Return whether the test saw that the guard is missing, and what it said."""
    with tempfile.TemporaryDirectory(prefix="freehold-mutation-") as folder:
        shutil.copytree(SOURCE, f"{folder}/src", ignore=shutil.ignore_patterns("__pycache__"))
        mutate(Path(folder) / "src", mutation)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.test.split()],
            env=os.environ | {"PYTHONPATH": f"{folder}/src"}, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    reasons = re.findall(r"^E\s+(.+)", done.stdout, re.MULTILINE)
    return done.returncode == 1, reasons[0] if reasons else done.stdout[-300:]


def main(names: list[str]) -> int:
    wanted = [m for m in MUTATIONS if not names or any(m.name.startswith(name) for name in names)]
    unseen: list[str] = []
    for mutation in wanted:
        begun = time.monotonic()
        seen, said = run(mutation)
        print(f"{mutation.name:14} {'seen' if seen else 'NOT SEEN':9} {time.monotonic() - begun:5.0f} s  without {mutation.without}: {said[:160]}", flush=True)  # fmt: skip
        unseen += [] if seen else [mutation.name]
    print(f"{len(wanted) - len(unseen)} of {len(wanted)} missing guards were seen")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
