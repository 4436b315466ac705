"""The guards that `make mutations` takes out are still where it looks for them, and so are the tests that must miss them."""

import shutil
from pathlib import Path

import pytest
from tests.mutations import MUTATIONS, ROOT, SOURCE, Mutation, mutate


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_each_edit_fits_in_one_place_and_leaves_a_program(mutation: Mutation, tmp_path: Path) -> None:
    for edit in mutation.edits:
        target = tmp_path / "freehold" / edit.file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCE / "freehold" / edit.file, target)
    mutate(tmp_path, mutation)
    for edit in mutation.edits:
        compile((tmp_path / "freehold" / edit.file).read_text(), edit.file, "exec")
    assert (ROOT / mutation.test.split()[0]).exists()
