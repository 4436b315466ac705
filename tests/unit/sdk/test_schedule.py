"""Schedules as they are declared: what they hold, and what is refused where it stands."""

import math
from typing import Any, cast

import pytest

import freehold
from freehold.core.digests import function_digest
from freehold.core.errors import InvalidError
from freehold.core.specs import Cron, FunctionSpec, Period, Schedule
from freehold.sdk.serialization import dump_arguments
from freehold.sdk.source import Bundles
from freehold.server.services.schedules import NO_ARGUMENTS


def job(times: int = 1) -> int:
    return times


def picky(times: int) -> int:
    return times


def items() -> Any:
    yield 1


class Model:
    pass


def variadic(*args: int, **kwargs: int) -> None: ...


def spec_of(**options: Any) -> FunctionSpec:
    app = freehold.App("a")
    app.function(**options)(job)
    with Bundles() as bundles:
        return app.spec(bundles).functions[0]


def test_a_schedule_is_part_of_the_spec() -> None:
    period = Schedule(period=Period(days=1, seconds=math.pi))
    assert spec_of(schedule=freehold.Period(days=1, seconds=math.pi)).schedule == period
    cron = Schedule(cron=Cron(expression="0 9 * * 1-5", timezone="Asia/Seoul"))
    assert spec_of(schedule=freehold.Cron("0 9 * * 1-5", timezone="Asia/Seoul")).schedule == cron
    assert spec_of().schedule is None


def test_another_schedule_keeps_the_instances() -> None:
    digests = {
        function_digest(spec_of(schedule=s)) for s in (None, freehold.Period(days=1), freehold.Cron("0 9 * * *"))
    }
    assert len(digests) == 1


def test_arguments_with_defaults_are_no_hindrance() -> None:
    app = freehold.App()
    app.function(schedule=freehold.Period(days=1))(variadic)
    assert list(app.registered_functions) == ["variadic"]


@pytest.mark.parametrize("given", [{}, {"seconds": 0.0}, {"seconds": 0.01}, {"days": -1}, {"days": 1.5}, {"hours": True}, {"seconds": math.nan},
                                   {"seconds": "5"}, {"years": 200}, {"weeks": 10**12}, {"days": 10**400}])  # fmt: skip
def test_a_period_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="Period"):
        freehold.Period(**given)


@pytest.mark.parametrize(
    ("line", "zone", "why"),
    [
        ("* * * *", "UTC", "five fields.*has 4"), ("0 0 0 1 1 *", "UTC", "five fields.*has 6"), ("@daily", "UTC", "five fields"),
        ("61 * * * *", "UTC", "bad minute"), ("0 9 * * mondays", "UTC", "bad day-of-week"), ("0 0 30 2 *", "UTC", "bad day-of-month"),
        (5, "UTC", "five fields"), ("0 9 * * *", "Europe/Nowhere", "'Europe/Nowhere'.*IANA"), ("0 9 * * *", "", "IANA"),
        ("0 9 * * *", None, "IANA"), ("0 9 * * *", "../../etc/passwd", "IANA"), ("0 9 * * *", "Europe", "IANA"),
    ],
)  # fmt: skip
def test_a_cron_line_that_cannot_be_is_refused(line: Any, zone: Any, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        freehold.Cron(line, timezone=zone)


def test_an_instance_does_not_read_cron_lines_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_REMOTE", "1")
    monkeypatch.setitem(__import__("sys").modules, "cronsim", None)
    assert repr(freehold.Cron("0 9 * * *", timezone="Asia/Seoul")) == "freehold.Cron('0 9 * * *', 'Asia/Seoul')"


def test_what_cannot_have_a_schedule_says_why() -> None:
    daily = freehold.Period(days=1)
    app = freehold.App()
    with pytest.raises(InvalidError, match=r"picky.*called without arguments, and it wants times"):
        app.function(schedule=daily)(picky)
    with pytest.raises(InvalidError, match=r"items.*on a generator"):
        app.function(schedule=daily)(items)
    with pytest.raises(InvalidError, match=r"on a web endpoint"):
        app.function(schedule=daily)(freehold.fastapi_endpoint()(job))
    with pytest.raises(InvalidError, match=r"schedule='daily'.*freehold.Period"):
        app.function(schedule=cast("Any", "daily"))(job)
    with pytest.raises(InvalidError, match="no option 'schedule'"):
        app.cls(**cast("Any", {"schedule": daily}))(Model)


def test_the_server_calls_with_what_the_sdk_pickles() -> None:
    assert dump_arguments((), {}).data == NO_ARGUMENTS
