"""Environments and the workspace that they share."""

import pytest

from freehold.core.environments import check_environment, environment_of, root_of, workspace_of
from freehold.core.errors import InvalidError


def test_main_is_the_workspace_itself() -> None:
    assert workspace_of("team", "main") == "team"
    assert workspace_of("team.dev", "main") == "team"
    assert environment_of("team") == "main"


def test_other_environments_are_kept_under_both_names() -> None:
    kept = workspace_of("team", "dev")
    assert (environment_of(kept), root_of(kept)) == ("dev", "team")
    assert workspace_of(kept, "prod") == workspace_of("team", "prod")


@pytest.mark.parametrize("name", ["", "a.b", "-x", "x" * 33, "a/b", "ä", None, 3])
def test_what_cannot_name_an_environment(name: object) -> None:
    with pytest.raises(InvalidError, match="cannot name an environment"):
        check_environment(name)
