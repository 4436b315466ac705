"""`FilePatternMatcher` and lists of patterns as `ignore=`."""

from tests.e2e.harness import Freehold

PROGRAM = "patterns.py"


def test_files_that_match_stay_behind(server: Freehold) -> None:
    assert server.ok("run", "-q", PROGRAM).splitlines() == [
        "/list a.txt deep/main.txt",
        "/from_file a.log a.txt deep/main.txt ignored",
        "/only_logs a.log deep/b.log",
        "/called a.txt",
    ]
