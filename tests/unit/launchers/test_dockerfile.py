"""Dockerfiles on this machine."""

from typing import Any

import pytest

from freehold.core.errors import ImageBuildError
from freehold.core.specs import ImageSpec, ImageStep
from freehold.launchers.process.commands import Apt, Copy, Plan, Shell, Write
from freehold.launchers.process.recipe import read

SH = ("/bin/sh", "-ec")


def dockerfile(text: str, **args: Any) -> Plan:
    return read(ImageSpec(steps=(ImageStep(kind="from_dockerfile", args={"dockerfile": text, "context": "c"} | args),)))


def test_what_a_dockerfile_becomes() -> None:
    plan = dockerfile("""
# syntax=docker/dockerfile:1
ARG VERSION=3.11
FROM python:${VERSION}-slim AS base
ARG MODE=slow
ENV ROOT=/srv \\
    # where it lies
    NAME="my model"
WORKDIR $ROOT
RUN apt-get update && apt-get install -y --no-install-recommends git curl \\
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt ./
COPY ["a b.txt", "c.txt", "data/"]
RUN pip install -r requirements.txt && echo $MODE
RUN ["python", "-c", "print(1)"]
WORKDIR app
RUN <<EOF
echo one
echo two
EOF
COPY <<EOF /etc/own.conf
x = 1
EOF
EXPOSE 8000
LABEL a=b
CMD ["python"]
""", build_args={"MODE": "fast"})  # fmt: skip
    assert (plan.python, plan.env, plan.workdir) == ("3.11", {"ROOT": "/srv", "NAME": "my model"}, "/srv/app")
    run = plan.commands[0].title.removeprefix("RUN ")
    assert run.startswith("apt-get update && ")
    assert [c.work for c in plan.commands] == [
        Apt(packages=("git", "curl"), written=(*SH, run)),
        Copy(digest="c", remote="/srv/", sources=("requirements.txt",)),
        Copy(digest="c", remote="/srv/data/", sources=("a b.txt", "c.txt")),
        Shell((*SH, "pip install -r requirements.txt && echo $MODE")),
        Shell(("python", "-c", "print(1)")),
        Shell((*SH, "echo one\necho two\n")),
        Write(remote="/etc/own.conf", text="x = 1\n"),
    ]
    assert plan.commands[3].env == {"VERSION": "3.11", "MODE": "fast", "ROOT": "/srv", "NAME": "my model"}
    assert plan.commands[5].workdir == "/srv/app"


@pytest.mark.parametrize(("text", "message"), [
    ("FROM python:3.12\nFROM python:3.12", "FROM 'python:3.12' .line 2.*in stages"),
    ("FROM python:3.12\nCOPY --from=other /a /b", "out of another image"),
    ("FROM python:3.12\nADD https://x/y.tar /", "downloads or unpacks"),
    ("FROM python:3.12\nRUN --mount=type=secret,id=x cat", "of its flag --mount"),
    ("RUN true", "has no FROM"),
    ("FROM golang:1.22", "container launcher"),
    ("FROM python:3.12\nRUNN x", "'RUNN' is not an instruction of a Dockerfile; did you mean 'RUN'"),
])  # fmt: skip
def test_what_needs_a_container(text: str, message: str) -> None:
    with pytest.raises(ImageBuildError, match=message):
        dockerfile(text)


def test_a_cache_needs_no_container() -> None:
    plan = dockerfile(
        "FROM debian:12\nRUN --mount=type=cache,target=/root/.cache pip install x\nUSER app\nVOLUME /data"
    )
    assert [c.work for c in plan.commands] == [Shell((*SH, "pip install x")), Shell((*SH, "mkdir -p '/data'"))]
    assert any("USER app" in note for note in plan.notes)
