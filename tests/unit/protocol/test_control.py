"""Messages between a launcher and its warm parent, with descriptors and of any size."""

import os
import socket

import pytest

from freehold.core.specs import FunctionSpec
from freehold.protocol import control
from freehold.protocol.control import Boot, Exited, Gone


@pytest.mark.parametrize("size", [10, 70_000, 5_000_000])
def test_messages_of_any_size_with_descriptors(size: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    with ours, theirs:
        spec = FunctionSpec(name="f", module="m", qualname="f", serialized=b"x" * size)
        control.send(ours, Boot(spec, b"", "/root", {"A": "1"}, True), (writer,))
        packet = control.receive_to_parent(theirs)
    assert packet is not None
    message, (fd,) = packet
    assert isinstance(message, Boot)
    assert message.spec == spec
    os.write(fd, b"!")
    assert os.read(reader, 1) == b"!"
    assert not os.get_inheritable(fd)
    for each in (reader, writer, fd):
        os.close(each)


def test_messages_keep_their_borders_and_the_end_is_none() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        control.send(ours, Exited("in-1", 0, None))
        control.send(ours, Gone("in-1"))
        ours.close()
        assert control.receive_from_parent(theirs) == (Exited("in-1", 0, None), [])
        assert control.receive_from_parent(theirs) == (Gone("in-1"), [])
        assert control.receive_from_parent(theirs) is None
