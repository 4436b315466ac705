"""A function imports a module that lies beside the program, when it runs."""

import modal

app = modal.App("compat-imports-late", image=modal.Image.debian_slim().add_local_python_source("neighbour_of"))


@app.function()
def ask():
    import json

    from neighbour_of import words

    return json.dumps(words())


@app.local_entrypoint()
def main():
    print(ask.remote())
