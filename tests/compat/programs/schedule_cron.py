"""A function that is called by the clock of a time zone, and that is the only one of its app."""

import modal

app = modal.App("compat-schedule-cron")


@app.function(schedule=modal.Cron("0 6 * * *", timezone="America/New_York"))
def report():
    print("the report")
    return "made"
