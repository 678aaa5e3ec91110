"""Accepted Host names: a web page elsewhere must not reach a server on loopback.

A page can point its own domain name at 127.0.0.1 (DNS rebinding), and then read from and write to
any server there that does not check the Host header. An IP address cannot be rebound, so IP
addresses are always accepted; of names, `localhost`, this machine's own and the allowed ones.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

ANY = "*"
"""allows every name"""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Hosts:
    """The names that are answered."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request is refused, by its `host` and `origin`; None if it is allowed."""
        host = headers.get("host", "")
        if host and not self._answers(_name_of(host)):
            return (
                f"the Host name `{host[:100]}` is not allowed; use the IP address, or allow the "
                "name with --allow-host"
            )
        origin = headers.get("origin")
        if origin is not None and not self._answers(urlsplit(origin).hostname or ""):
            return f"pages of `{origin[:100]}` are not allowed; allow them with --allow-host"
        return None

    def _answers(self, name: str) -> bool:
        name = name.lower().rstrip(".")
        if ANY in self._allowed or name in self._allowed:
            return True
        return (
            _is_address(name)
            or name == "localhost"
            or name.endswith(".localhost")
            or (name in _own_names())
        )


class Guarded:
    """An ASGI application behind a check of host and origin."""

    def __init__(self, app: App, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to what comes under a wrong name, and hand everything else on."""
        if scope["type"] == "http":
            reason = self._hosts.refusal(_named(scope["headers"]))
            if reason is not None:
                await _refuse(send, reason)
                return
        await self._app(scope, receive, send)


def _named(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    wanted = (b"host", b"origin")
    return {name.decode(): value.decode("latin-1") for name, value in headers if name in wanted}


async def _refuse(send: Send, reason: str) -> None:
    body = f"{reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _name_of(host: str) -> str:
    """Take the port away."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0]})
