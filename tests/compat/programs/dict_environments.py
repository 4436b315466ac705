import modal

here = modal.Dict.from_name("compat-apart", create_if_missing=True)
there = modal.Dict.from_name("compat-apart", environment_name="compat-there", create_if_missing=True)
here["k"], there["k"], there["large"] = "here", "there", "x" * 500_000
print(here["k"], there["k"], here.len(), there.len(), len(there["large"]))
with modal.Queue.ephemeral(environment_name="compat-there") as q:
    q.put("there")
    print(q.get(), modal.Queue.from_name("compat-q", environment_name="compat-there", create_if_missing=True).len())
print([len(modal.Queue.objects.list(environment_name=name)) for name in ("compat-there",)])
try:
    modal.Dict.from_name("compat-apart", environment_name="compat-nowhere").get("k")
except modal.exception.NotFoundError as error:
    print(error)
