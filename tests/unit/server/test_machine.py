"""What the server asks of its machine."""

import resource

from freehold.server.machine import raise_file_limit


def test_the_limit_of_open_files_is_raised_as_far_as_it_may() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert hard == before[1]
        assert soft == min(32_768, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
