import pytest

from freehold.core.errors import InvalidError
from freehold.core.names import check_label, check_name, is_name, is_variable


@pytest.mark.parametrize("name", ["a", "_a", "1", "a.b-c_d", "x" * 64])
def test_names(name: str) -> None:
    assert check_name(name, "a thing") == name


@pytest.mark.parametrize("name", ["", ".", "..", "-a", ".a", "a b", "a/b", "a\n", "ä", "x" * 65, None, 3])
def test_what_is_no_name(name: object) -> None:
    assert not is_name(name)
    with pytest.raises(InvalidError, match="cannot name a thing"):
        check_name(name, "a thing")


@pytest.mark.parametrize("label", ["A", "a_b", "-a", "a-", "", "a" * 64, 3])
def test_what_is_no_label(label: object) -> None:
    assert check_label("a-1") == "a-1"
    with pytest.raises(InvalidError, match="is not a host name part"):
        check_label(label)


def test_variables() -> None:
    assert all(is_variable(key) for key in ("A", "a.b"))
    assert not any(is_variable(key) for key in ("", "A=B", "A\0", 3, None))
