"""A name that is nearly right is suggested; one that is not near anything is not."""

from freehold.core.suggest import did_you_mean


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("ocr-servise", ["hello", "ocr-service"]) == "; did you mean 'ocr-service'?"


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert did_you_mean("zebra", ["hello", "ocr-service"]) == ""
    assert did_you_mean("zebra", []) == ""
