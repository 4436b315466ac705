"""Which base images this machine can stand in for."""

import pytest

from freehold.core.errors import ImageBuildError
from freehold.launchers.process.base import stand_in
from freehold.launchers.process.commands import Host

GPU = Host(nvidia=True)


@pytest.mark.parametrize(("tag", "add_python", "python"), [
    ("python:3.12-slim", None, "3.12"),
    ("python:3.11.9-slim-bookworm", None, "3.11.9"),
    ("docker.io/library/python:3.10", None, "3.10"),
    ("public.ecr.aws/docker/library/python:3.13@sha256:ab", None, "3.13"),
    ("python:slim", None, None),
    ("python", "3.12", "3.12"),
    ("debian:bookworm-slim", "3.11", "3.11"),
    ("ubuntu:22.04", None, None),
    ("ghcr.io/astral-sh/uv:0.5-python3.12-bookworm-slim", None, "3.12"),
])  # fmt: skip
def test_a_system_with_a_python(tag: str, add_python: str | None, python: str | None) -> None:
    base = stand_in(tag, add_python, Host())
    assert base.python == python
    assert repr(tag) in base.note


@pytest.mark.parametrize(("tag", "message"), [
    ("nvidia/cuda:12.4.0-devel-ubuntu22.04", "no NVIDIA driver.*container launcher"),
    ("python:3.12-alpine", "another kind of system"),
    ("someone/python:3.12", "more than a system and a Python"),
    ("registry.example.com/python:3.12", "more than a system and a Python"),
    ("ghcr.io/astral-sh/uv:latest", "more than a system"),
    ("pytorch/pytorch:2.4-cuda12", "container launcher"),
])  # fmt: skip
def test_what_has_no_stand_in(tag: str, message: str) -> None:
    with pytest.raises(ImageBuildError, match=message):
        stand_in(tag, "3.12", Host())


def test_cuda_is_what_a_driver_and_packages_bring() -> None:
    assert stand_in("nvidia/cuda:12.4.0-runtime-ubuntu22.04", "3.11", GPU).python == "3.11"
    assert "nvcc is not on this machine" in stand_in("nvidia/cuda:12.4.0-devel-ubuntu22.04", "3.11", GPU).note
    assert "nvcc" not in stand_in("nvidia/cuda:12.4.0-devel-ubuntu22.04", "3.11", Host(nvidia=True, nvcc=True)).note
