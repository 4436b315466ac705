"""Dict, as programs and the command line use it."""

from tests.e2e.harness import Freehold


def test_a_dict_is_used_as_one(server: Freehold) -> None:
    assert server.lines("run", "-q", "dict_basics.py") == [
        "freehold [1, {'two': 2}] None True False 3",
        "None default True compat-basics di-",
        "False True True new",
        "[\"('x', 1)\", '7', 'a', 'b', 'fresh', 'name'] ['1', '1', '2', 'None', \"[1, {'two': 2}]\", 'new']",
        "1 gone",
        *["KeyError \"b not in Dict 'compat-basics'\""] * 3,
        "True",
        "True",
        "0 compat-basics",
        "NotFoundError there is no dict 'compat-basics'; make it with `freehold dict create compat-basics`, or pass create_if_missing=True",
    ]


def test_functions_and_the_program_share_a_dict(server: Freehold) -> None:
    assert server.lines("run", "-q", "dict_shared.py") == [
        "1",
        "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81] 11",
        "[('by id', 2), ('from inside', 1)]",
        "5 5",
    ]
    shown = server("dict", "items", "compat-shared", "3")
    assert "the first 3 only; --all shows all" in shown.stderr
    assert "<dict_shared.Point object" in shown.stdout
    assert "cannot be read here" not in shown.stdout
    elsewhere = server("dict", "items", "compat-shared", "--all", cwd=server.programs.parent)
    assert (elsewhere.returncode, elsewhere.stdout.count("<cannot be read here: ")) == (0, 10)
    assert "No module named 'dict_shared'" in elsewhere.stdout
    assert ["later", "5"] in [line.split() for line in elsewhere.stdout.splitlines()]
    server.ok("dict", "delete", "compat-shared", "--yes")


def test_the_async_face_and_the_end_of_what_is_ephemeral(server: Freehold) -> None:
    assert server.lines("python", "dict_async.py") == [
        "50 49 False 9 gone", "True", "{'x': 1, 'y': 2} 51", "gone True", "['compat-async']"
    ]  # fmt: skip


def test_what_is_wrong_is_named_with_its_fix(server: Freehold) -> None:
    done = server("python", "dict_wrong.py")
    assert done.returncode == 0, done.stderr
    kinds, texts = zip(*(line.split(" ", 1) for line in done.stdout.splitlines()[:-1]), strict=True)
    assert kinds == (
        "SerializationError", "SerializationError", "RequestSizeError", "RequestSizeError", "InvalidError", "NotFoundError",
        "AlreadyExistsError", "InvalidError",
    )  # fmt: skip
    for text, said in zip(
        texts,
        (
            "the key cannot be pickled", "['inner'] is of type '_thread.lock'", "Dict key too big: 'xxx", "over the limit of 10,000",
            "'no/name' cannot name a Dict", "did you mean 'compat-wrong'", "a dict 'compat-wrong' already", "Dict.from_name('NAME'",
        ),
        strict=True,
    ):  # fmt: skip
        assert said in text
    assert done.stdout.splitlines()[-1] == "0"
    assert "write Dict.from_name('compat-wrong')" in done.stderr
    assert "write Dict.objects.delete('compat-wrong')" in done.stderr
    assert server("dict", "get", "compat-wrong", "x").returncode == 4


def test_the_command_line(server: Freehold) -> None:
    assert server.ok("dict", "create", "compat-cli") == "✓ dict compat-cli\n"
    code = "import modal; d = modal.Dict.from_name('compat-cli'); d['k'] = [1, 'two']; print(d['k'])"
    assert server("python", "-c", code).stdout == "[1, 'two']\n"
    assert server.json("dict", "items", "compat-cli") == [["k", [1, "two"]]]
    server.ok("dict", "delete", "compat-cli", "-y")
    gone = server("dict", "get", "compat-cli", "k")
    assert (gone.returncode, "no dict 'compat-cli'" in gone.stderr) == (4, True)


def test_each_environment_has_its_own(server: Freehold) -> None:
    server.ok("environment", "create", "compat-there")
    done = server("python", "dict_environments.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == ["here there 1 2 500000", "there 0", "[1]"]
    assert "no environment 'compat-nowhere'; did you mean 'compat-there'" in done.stdout
    assert server.ok("dict", "get", "compat-apart", "k", "-e", "compat-there") == "there\n"
    server.ok("environment", "delete", "compat-there", "--yes")
    server.ok("environment", "create", "compat-there")
    assert server.json("dict", "list", "-e", "compat-there") == server.json("queue", "list", "-e", "compat-there") == []
    server.ok("environment", "delete", "compat-there", "--yes")
    server.ok("dict", "delete", "compat-apart", "--yes")
