"""The version of the program and of the wire. Sides whose wire versions differ refuse each other with a clear message."""

VERSION = "0.1.0"
PROTOCOL_VERSION = 2
VERSION_HEADER = "x-freehold-protocol"
ENVIRONMENT_HEADER = "x-freehold-environment"  # of requests: whose apps and data are meant; without it, those of `main`
