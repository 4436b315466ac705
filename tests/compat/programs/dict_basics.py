import modal

app = modal.App("compat-dict-basics")


@app.local_entrypoint()
def main():
    d = modal.Dict.from_name("compat-basics", create_if_missing=True)
    d.clear()
    d["name"] = "freehold"
    d[("x", 1)] = [1, {"two": 2}]
    d[7] = None
    print(d["name"], d[("x", 1)], d[7], "name" in d, "none" in d, d.len())
    print(d.get("none"), d.get("none", "default"), d.contains(7), d.name, d.object_id[:3])
    print(
        d.put("name", "other", skip_if_exists=True),
        d.put("fresh", 1, skip_if_exists=True),
        d.put("name", "new"),
        d["name"],
    )
    d.update({"a": 1}, b=2)
    print(sorted(map(str, d.keys())), sorted(map(str, d.values())))
    print(d.pop("a"), d.pop("a", "gone"))
    del d["b"]
    for ask in (lambda: d["b"], lambda: d.pop("b"), lambda: d.__delitem__("b")):
        try:
            ask()
        except KeyError as error:
            print("KeyError", error)
    print(dict(d.items()) == {"name": "new", ("x", 1): [1, {"two": 2}], 7: None, "fresh": 1})
    big = bytes(range(256)) * 8192
    d["big"] = big
    print(d["big"] == big)
    d.clear()
    print(d.len(), d.info().name)
    modal.Dict.objects.delete("compat-basics")
    try:
        modal.Dict.from_name("compat-basics").get("x")
    except modal.exception.NotFoundError as error:
        print("NotFoundError", error)
