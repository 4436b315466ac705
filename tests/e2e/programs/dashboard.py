"""What the dashboard's test looks at: a class that talks while it works, and a web endpoint."""

import time

import freehold

app = freehold.App("e2e-dashboard")


@app.cls(scaledown_window=300)
class Talker:
    @freehold.enter()
    def begin(self) -> None:
        print("ready to talk")

    @freehold.method()
    def talk(self, words: int = 40, word: str = "말") -> int:
        for number in range(words):
            print(f"{word} {number} <b>bold</b>", flush=True)
            time.sleep(0.25)
        return words

    @freehold.method()
    def fail(self) -> None:
        raise ValueError("nothing to say")


@app.function()
@freehold.fastapi_endpoint()
def ping():
    return {"pong": True}
