"""Schedules that cannot be: each is refused where it stands."""

import modal

app = modal.App("compat-schedule-errors")


def needs(x):
    return x


def items():
    yield 1


def refused(what):
    try:
        what()
    except modal.exception.InvalidError as error:
        print("refused:", error)
    else:
        print("TAKEN")


refused(modal.Period)
refused(lambda: modal.Period(days=-1))
refused(lambda: modal.Cron("every day"))
refused(lambda: modal.Cron("0 25 * * *"))
refused(lambda: modal.Cron("0 9 * * *", timezone="Mars/Olympus"))
refused(lambda: app.function(schedule=modal.Period(days=1))(needs))
refused(lambda: app.function(schedule=modal.Period(days=1))(items))
refused(lambda: app.function(schedule=modal.Period(days=1))(modal.fastapi_endpoint()(refused)))


@app.local_entrypoint()
def main():
    pass
