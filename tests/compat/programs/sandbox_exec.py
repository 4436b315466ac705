"""Commands in a running sandbox: streaming, stdin, exit codes, variables, terminals, limits of time."""

import time

import modal
from modal.container_process import ContainerProcess
from modal.io_streams import StreamReader, StreamWriter
from modal.stream_type import StreamType

app = modal.App.lookup("compat-sandbox-exec", create_if_missing=True)
sb = modal.Sandbox.create(
    app=app, env={"COLOR": "blue"}, secrets=[modal.Secret.from_dict({"KEY": "s3cret"})], workdir="/work"
)

p = sb.exec("sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo warned >&2; exit 4")
print("KINDS", isinstance(p, ContainerProcess), isinstance(p.stdout, StreamReader), isinstance(p.stdin, StreamWriter))
begun = time.monotonic()
seen = [(line, time.monotonic() - begun) for line in p.stdout]
print("LINES", [line for line, _ in seen], seen[-1][1] - seen[0][1] > 0.4)
print("CODE", p.wait(), p.returncode, p.poll(), repr(p.stderr.read()))

print("WHERE", sb.exec("pwd").stdout.read().strip(), sb.exec("pwd", workdir="/tmp").stdout.read().strip())
print("ENV", sb.exec("sh", "-c", "echo $COLOR $KEY $EXTRA", env={"EXTRA": "x", "COLOR": "red"}).stdout.read().strip())
print("SECRET", sb.exec("sh", "-c", "echo $ONE", secrets=[modal.Secret.from_dict({"ONE": "1"})]).stdout.read().strip())

cat = sb.exec("cat")
cat.stdin.write(b"abc\n")
cat.stdin.drain()
print("POLL", cat.poll())
cat.stdin.write("def")
cat.stdin.write_eof()
cat.stdin.drain()
print("CAT", repr(cat.stdout.read()), cat.wait())
try:
    cat.stdin.write("more")
except ValueError as error:
    print("CLOSED", error)

print("BYTES", sb.exec("printf", "\\377\\000x", text=False).stdout.read())
half = sb.exec("sh", "-c", "printf 'one\\ntw'; sleep 0.2; printf 'o\\n'", bufsize=1)
print("BY LINE", list(half.stdout))
print("TTY", repr(sb.exec("sh", "-c", "tty; stty size", pty=True).stdout.read()))
print("NO TTY", sb.exec("tty").wait())

slow = sb.exec("sh", "-c", "echo begun; sleep 60", timeout=1)
try:
    print("NEVER", slow.stdout.read())
except modal.exception.ExecTimeoutError as error:
    print("TIME", slow.wait(), "timeout" in str(error))

shown = sb.exec("echo", "printed at once", stdout=StreamType.STDOUT)
shown.wait()
quiet = sb.exec("sh", "-c", "head -c 100000000 /dev/zero", stdout=StreamType.DEVNULL)
print("QUIET", quiet.wait())
print("KILLED", sb.exec("sh", "-c", "kill -9 $$").wait(), sb.exec("nope").wait(), sb.exec("ls", workdir="/none").wait())
big = sb.exec("sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' 'x'")
big.wait()
print("BIG", len(big.stdout.read()))
sb.terminate()
try:
    sb.exec("true")
except modal.exception.ConflictError as error:
    print("ENDED", "has ended" in str(error))
except modal.exception.NotFoundError as error:
    print("ENDED", "has ended" in str(error) or "runs" in str(error))
