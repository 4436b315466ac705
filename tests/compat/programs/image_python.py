"""Another Python than the one that runs the program."""

import sys

import modal

app = modal.App("image-python")
OTHER = "3.13" if sys.version_info[:2] != (3, 13) else "3.12"
made = "/root/made"


def make() -> None:
    with open(made, "w") as file:
        file.write(f"{sys.version_info[0]}.{sys.version_info[1]}")


@app.function(image=modal.Image.from_registry(f"python:{OTHER}-slim").run_function(make))
def versions() -> tuple[str, str]:
    with open(made) as file:
        return file.read(), f"{sys.version_info[0]}.{sys.version_info[1]}"


@app.local_entrypoint()
def main():
    print(versions.remote() == (OTHER, OTHER), versions.remote())
