"""Where a stream of a sandbox's command goes."""

import subprocess
from enum import Enum


class StreamType(Enum):
    DEVNULL = subprocess.DEVNULL  # nowhere
    PIPE = subprocess.PIPE  # to whoever reads it
    STDOUT = subprocess.STDOUT  # to this process's own stdout, as it comes
