"""What somebody may have meant by a name that is not there."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'NAME'?` for the nearest known name, or nothing: the end of an error's first sentence."""
    nearest = get_close_matches(name, sorted(set(known)), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
