"""Files of a sandbox."""

import tempfile
from pathlib import Path

import modal
from modal.types import FileType, FileWatchEventType

app = modal.App.lookup("compat-sandbox-files", create_if_missing=True)
with tempfile.TemporaryDirectory() as folder:
    local = Path(folder)
    (local / "given.txt").write_text("given\n")
    image = modal.Image.debian_slim().add_local_dir(folder, "/data")
    sb = modal.Sandbox.create(app=app, image=image)
    fs = sb.filesystem
    print("GIVEN", fs.read_text("/data/given.txt").strip())
    fs.write_text("changed", "/data/given.txt")  # a copy of its own
    print("OWN", fs.read_text("/data/given.txt"), (local / "given.txt").read_text().strip())
    fs.write_bytes(b"\x00\xff" * 5_000_000, "/work/deep/big.bin")
    print("BIG", fs.read_bytes("/work/deep/big.bin") == b"\x00\xff" * 5_000_000, fs.stat("/work/deep/big.bin").size)
    fs.copy_from_local(local / "given.txt", "/work/copied.txt")
    fs.copy_to_local("/work/copied.txt", local / "back" / "copied.txt")
    print("COPIED", (local / "back/copied.txt").read_text().strip())
    sb.exec("ln", "-s", "/etc/passwd", "/work/link").wait()
    fs.make_directory("/work/empty")
    print("LIST", [(e.name, e.type.value, e.is_dir()) for e in fs.list_files("/work")])
    link = fs.stat("/work/link")
    print("STAT", link.type is FileType.SYMLINK, link.symlink_target, link.permissions[0], link.owner)

for name, work in {
    "NOT FOUND": lambda: fs.read_text("/nope"),
    "DIRECTORY": lambda: fs.read_bytes("/work"),
    "NOT A DIRECTORY": lambda: fs.list_files("/work/copied.txt"),
    "BENEATH A FILE": lambda: fs.write_text("x", "/work/copied.txt/x"),
    "NOT EMPTY": lambda: fs.remove("/work"),
    "THERE": lambda: fs.make_directory("/work", create_parents=False),
    "READ ONLY": lambda: fs.write_text("x", "/proc/sys/kernel/hostname"),
    "RELATIVE": lambda: fs.read_text("work/x"),
}.items():
    try:
        work()
        print(name, "no error")
    except modal.exception.Error as error:
        print(name, type(error).__name__)

fs.remove("/work/empty")
fs.remove("/work/deep", recursive=True)
print("LEFT", sorted(e.name for e in fs.list_files("/work")), sorted(sb.ls("/work")))
watching = fs.watch("/work", recursive=True, timeout=20)
sb.exec(
    "sh",
    "-c",
    "sleep 0.5; mkdir /work/new; sleep 0.2; echo x > /work/new/file; sleep 0.2; mv /work/new/file /work/new/moved; rm /work/new/moved",
)
events = []
for event in watching:
    events.append((event.type.value, event.paths))
    if event.type is FileWatchEventType.Remove:
        break
watching.close()
print(
    "SEEN",
    ("Create", ["/work/new"]) in events,
    ("Create", ["/work/new/file"]) in events,
    ("Modify", ["/work/new/file", "/work/new/moved"]) in events,
    events[-1],
)
sb.terminate()
