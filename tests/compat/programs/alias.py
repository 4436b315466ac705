import modal
from modal.exception import InvalidError
from modal.functions import FunctionCall

app = modal.App("compat-alias")


@app.function()
def where(x: int):
    import modal as inner

    return inner.__name__, inner.is_local(), x + 1


@app.local_entrypoint()
def main():
    print(modal.is_local(), where.remote(1))
    call = where.spawn(2)
    print(isinstance(call, FunctionCall), call.get()[2], issubclass(InvalidError, modal.exception.Error))
