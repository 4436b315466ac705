"""A plain script that shows what its app writes, while it wants that."""

import sys

import modal

app = modal.App("compat-output")


@app.function()
def speak(word):
    print("instance says", word)
    print("instance warns", word, file=sys.stderr)
    return word.upper()


if __name__ == "__main__":
    with app.run():
        print(speak.remote("hidden"))
    with modal.enable_output():
        with app.run():
            print(speak.remote("shown"))
    with modal.enable_output(show_progress=False):
        with app.run():
            print(speak.remote("unwanted"))
