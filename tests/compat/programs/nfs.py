"""A network file system, which is a volume under an older name; and a proxy, which changes nothing."""

import io
from pathlib import Path

import modal

app = modal.App("compat-nfs")
nfs = modal.NetworkFileSystem.from_name("compat-nfs", create_if_missing=True)


@app.function(
    network_file_systems={"/nfs": nfs},
    volumes={"/v": modal.Volume.from_name("compat-nfs")},
    proxy=modal.Proxy.from_name("ip"),
)
def both() -> str:
    Path("/nfs/from-inside.txt").write_text("inside")
    return Path("/v/from-outside.txt").read_text() + Path("/v/from-inside.txt").read_text()


@app.local_entrypoint()
def main() -> None:
    print(nfs.write_file("/from-outside.txt", io.BytesIO(b"outside ")))
    print(both.remote())
    print([e.path for e in nfs.listdir("/")], b"".join(nfs.read_file("from-inside.txt")))
    nfs.remove_file("from-inside.txt")
    print([e.path for e in nfs.iterdir("*.txt")])
    with modal.NetworkFileSystem.ephemeral() as scratch:
        scratch.add_local_file(__file__, "/x/nfs.py")
        print([e.path for e in scratch.listdir("/x")])
