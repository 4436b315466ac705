"""A program as a notebook or a REPL holds it, in no file: everything goes along by value. The test gives it to `python -`."""

import dataclasses

import freehold

app = freehold.App("e2e-notebook")
STEP = 10


@dataclasses.dataclass
class Point:
    x: int


class TooFarError(Exception):
    pass


def moved(point: Point) -> Point:
    return Point(point.x + STEP)


@app.function()
def move(point: Point) -> Point:
    if point.x > 50:
        raise TooFarError(point.x)
    return moved(point)


@app.function()
def far(n: int) -> int:
    return sum(p.x for p in move.map([Point(i) for i in range(n)]))


@app.function()
def path(n: int):
    for x in range(n):
        yield Point(x)


@app.cls()
class Ship:
    speed: int = freehold.parameter(default=2)

    @freehold.method()
    def sail(self, hours: int) -> int:
        return self.speed * hours

    @freehold.method()
    def twice(self) -> int:
        return self.sail.remote(1) + Ship(speed=5).sail.remote(1)


with app.run():
    assert move.remote(Point(1)) == Point(11)
    assert far.remote(3) == 33
    assert list(path.remote_gen(2)) == [Point(0), Point(1)]
    assert Ship(speed=3).twice.remote() == 8
    try:
        move.remote(Point(99))
    except TooFarError as error:
        print("too far:", error.args)
