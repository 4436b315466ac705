"""A repository of one Debian package, made here."""

import hashlib
import subprocess
from pathlib import Path


def repository(folder: Path, name: str, script: str) -> None:
    """Make `repo` in a folder; the package is a program of its name, which shows what `script` made as it was installed."""
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin" / name).write_text("#!/bin/sh\ncat /etc/made-by-script\n")
    (root / "usr/bin" / name).chmod(0o755)
    control = f"Package: {name}\nVersion: 1.2\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a test\n"
    (root / "DEBIAN/control").write_text(control)
    (root / "DEBIAN/postinst").write_text(f"#!/bin/sh\nset -e\n{script}\n")
    (root / "DEBIAN/postinst").chmod(0o755)
    (folder / "repo").mkdir()
    file = folder / "repo" / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(root), str(file)], check=True, capture_output=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    index = f"{control}Filename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n"
    (folder / "repo/Packages").write_text(index)
