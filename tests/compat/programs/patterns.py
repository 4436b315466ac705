"""Which files of a folder go along: by patterns, by a file of them, turned round."""

from pathlib import Path

import modal
from modal import FilePatternMatcher
from modal.file_pattern_matcher import NON_PYTHON_FILES

here = Path(__file__).parent / "pattern_files"
image = (
    modal.Image.debian_slim()
    .add_local_dir(here, "/list", ignore=["*.log", "deep/*", "!deep/main.txt", "ignored"])
    .add_local_dir(here, "/from_file", ignore=FilePatternMatcher.from_file(here / "ignored"))
    .add_local_dir(here, "/only_logs", ignore=~FilePatternMatcher("**/*.log"))
    .add_local_dir(here, "/called", ignore=lambda path: path.name != "a.txt")
)
app = modal.App("compat-patterns", image=image)


@app.function()
def listed():
    return {
        root: sorted(str(p.relative_to(root)) for p in Path(root).rglob("*") if p.is_file())
        for root in ("/list", "/from_file", "/only_logs", "/called")
    }


@app.local_entrypoint()
def main():
    assert NON_PYTHON_FILES(Path("x.txt"))
    for root, files in listed.remote().items():
        print(root, *files)
