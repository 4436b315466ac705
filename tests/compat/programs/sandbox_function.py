"""A function that runs untrusted code in a sandbox of its own app, with a volume; the sandbox ends with the app."""

import modal

app = modal.App("compat-sandbox-function")
volume = modal.Volume.from_name("compat-sandbox-volume", create_if_missing=True)


@app.function()
def solve(code: str) -> tuple[str, int]:
    sb = modal.Sandbox.create(
        timeout=60, volumes={"/shared": volume, "/part": volume.with_mount_options(sub_path="part")}
    )
    p = sb.exec("python", "-c", code)
    out = p.stdout.read()
    code_ = p.wait()
    sb.terminate()
    return out, code_


@app.local_entrypoint()
def main() -> None:
    print(
        "SOLVED",
        solve.remote("print(6 * 7); open('/shared/x', 'w').write('from inside'); open('/part/y', 'w').write('part')"),
    )
    print("PART", b"".join(volume.read_file("part/y")).decode())
    print("VOLUME", b"".join(volume.read_file("x")).decode())
    left = modal.Sandbox.create("sleep", "100", app=app)
    print("LEFT", left.object_id)
