"""Does not compile."""

import freehold

app = freehold.App("e2e-syntax")


def broken(:
    pass
