"""The types of ASGI, as the runner uses them."""

from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]  # a scope too
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Asgi = Callable[[Message, Receive, Send], Coroutine[Any, Any, None]]
