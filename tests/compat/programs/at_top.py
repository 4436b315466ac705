"""What is stored is used as the program is loaded, here and in instances."""

import modal

app = modal.App("compat-at-top")
other = modal.App.lookup("compat-at-top-other", create_if_missing=True)
seen = modal.Dict.from_name("compat-at-top", create_if_missing=True)
seen["local" if modal.is_local() else "instance"] = True


@app.function()
def look() -> tuple[list[str], str]:
    return sorted(seen.keys()), (other.app_id or "")[:3]


@app.local_entrypoint()
def main() -> None:
    print(look.remote())
    other.stop()
    modal.Dict.objects.delete("compat-at-top")
