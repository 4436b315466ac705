"""Reading Dockerfiles."""

import pytest

from freehold.core.dockerfile import Instruction, copied, expand, parse
from freehold.core.errors import InvalidError


def one(text: str) -> Instruction:
    (instruction,) = parse(text)
    return instruction


def test_lines_go_on_and_comments_are_left_out() -> None:
    made = parse("# top\n\nrun a && \\\n  # between\n\n  b\nENV A=1\n")
    assert [(i.op, i.value, i.line) for i in made] == [("RUN", "a && b", 3), ("ENV", "A=1", 7)]


def test_flags_json_pairs_and_heredocs() -> None:
    made = one("RUN --mount=type=cache,target=/x --network=none pip install y")
    assert (made.flags, made.value) == ((("mount", "type=cache,target=/x"), ("network", "none")), "pip install y")
    assert one('CMD ["a", "b c"]').words() == ["a", "b c"]
    assert one("CMD [ -f x ] && y").words() is None
    assert one("ENV A=1 B=\"two words\" C='x'").pairs() == {"A": "1", "B": "two words", "C": "x"}
    assert one("ENV A some words").pairs() == {"A": "some words"}
    assert one("ARG A").pairs() == {"A": ""}
    assert one("RUN <<'END'\na\n  b\nEND").heredoc == "a\n  b\n"


def test_what_is_copied() -> None:
    made = parse('FROM x\nCOPY a b/ /c\nADD https://x/y /z\nCOPY --from=q /r /s\nCOPY ["d e", "/f"]\nCOPY <<E /g\nE\n')
    assert copied(made) == ["a", "b/", "d e"]


def test_variables() -> None:
    assert expand("$A ${B} ${C:-c} ${A:+yes}${C:+no} \\$A $D.", {"A": "1", "B": "2"}) == "1 2 c yes $A ."


@pytest.mark.parametrize(("text", "message"), [
    ("RNU x", "line 1: 'RNU' is not an instruction of a Dockerfile; did you mean 'RUN'"),
    ("FROM x\nRUN <<EOF\na", "no line 'EOF'"),
])  # fmt: skip
def test_what_is_none_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        parse(text)


def test_a_copy_without_a_destination() -> None:
    with pytest.raises(InvalidError, match=r"COPY 'a' .line 1. wants at least one source and a destination"):
        one("COPY a").sources()
