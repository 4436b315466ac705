import modal

app = modal.App("compat-workspace")


@app.function()
def where() -> str:
    return modal.Environment.from_context().name


@app.local_entrypoint()
def main():
    client = modal.Client.from_env()
    client.hello()
    print(modal.Workspace.from_context(client=client).name, modal.Environment.from_context().name, where.remote())
    modal.Environment.objects.create("compat-made")
    modal.Environment.objects.create("compat-made", allow_existing=True)
    print([e.name for e in modal.Environment.objects.list()], modal.Environment.from_name("compat-made").hydrate())
    modal.Environment.objects.delete("compat-made")
    print(modal.Environment.from_name("compat-made", create_if_missing=True).hydrate())
    modal.Environment.objects.delete("compat-made")
    try:
        modal.Environment.from_name("compat-made").hydrate()
    except modal.exception.NotFoundError as error:
        print(error)
