"""The version of the wire. A client and a server whose numbers differ refuse each other with a clear message."""

PROTOCOL_VERSION = 1
VERSION_HEADER = "x-freehold-protocol"
