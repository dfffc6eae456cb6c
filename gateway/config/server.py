"""The `server` section: where the gateway listens, whom it believes, how long it waits, how much it takes."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gateway.config.base import Bytes, FilePath, Number, Port, Seconds, Section, Whole, subsection, wrong

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ANYWHERE = frozenset({"0.0.0.0", "::", ""})
_HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9._-]*[a-z0-9])?\.?")


def _network(value: object) -> Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    if not isinstance(value, str):
        raise wrong('should be an address or a network, such as "10.0.0.0/8"')
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise wrong('should be an address or a network, such as "10.0.0.0/8"; names and `*` are not taken') from None
    raise wrong(f'has bits beyond its prefix; the network is "{meant}"')


def _bind(host: str) -> str:
    bare = host.strip("[]").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not _HOST.fullmatch(bare):
        raise wrong("should be an address to listen on, such as 127.0.0.1, 0.0.0.0 or ::, without a port")
    return bare


def _allowed(host: str) -> str:
    name = host.lower()
    if name == "*" or _HOST.fullmatch(name.removeprefix("*.")):
        return name
    raise wrong('should be a host as clients name it, without port and scheme, or "*.example.com", or "*"')


def _known(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in hosts:
        raise wrong("the admin port always wants a known Host; list the names by which it is reached")
    return hosts


def _admin_hosts(data: dict[str, Any]) -> tuple[str, ...]:
    bound = data.get("admin_host", "")
    own = () if bound in _ANYWHERE else (f"[{bound}]" if ":" in bound else bound,)
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "[::1]", *own)))


AllowedHost = Annotated[str, AfterValidator(_allowed)]
BindHost = Annotated[str, AfterValidator(_bind)]
Proxy = Annotated[Network, BeforeValidator(_network), WithJsonSchema({"type": "string"})]


class Tls(Section):
    """TLS on one listener."""

    cert: FilePath
    """The certificate chain, PEM."""
    key: FilePath
    """Its private key, PEM, without a passphrase."""
    client_ca: FilePath | None = None
    """With it, clients must show a certificate that this authority signed (mutual TLS)."""


class Limits(Section):
    """What one process takes from clients."""

    max_body_bytes: Bytes = 32 * 1024**2
    """The largest JSON body, in bytes; it is held in memory."""
    max_upload_bytes: Bytes = 512 * 1024**2
    """The largest file or audio upload, in bytes; it is streamed."""
    max_header_bytes: Bytes = 32 * 1024
    """The request line and all headers together, in bytes."""
    header_timeout: Seconds = 10.0
    """Seconds from a connection's first byte of a request to the end of its headers."""
    body_min_rate: Annotated[Whole, Field(ge=0)] = 100
    """Bytes a second below which a body that is being sent is given up; 0 waits for ever."""
    keep_alive: Seconds = 75.0
    """Seconds an idle connection is kept open."""
    max_in_flight: Annotated[Whole, Field(ge=0)] = 0
    """Calls at work at once in one worker, beyond which new ones get 503; 0 sets no bound."""
    write_stall: Seconds = 60.0
    """Seconds a client may read nothing of its answer before it is disconnected."""


class Shutdown(Section):
    """What happens between SIGTERM and the end."""

    delay: Annotated[Number, Field(ge=0, le=3_600)] = 0.0
    """Seconds to be unready and still accept, so that a load balancer notices first."""
    grace: Annotated[Number, Field(ge=0, le=86_400)] = 600.0
    """Seconds for calls in flight to finish; then they are cut."""


class Server(Section):
    """Both listeners."""

    host: BindHost = "127.0.0.1"
    """The address of the data port."""
    port: Port = 8080
    """The data port; 0 lets the system choose."""
    admin_host: BindHost = Field(default_factory=lambda data: data.get("host", "127.0.0.1"))
    """The address of the admin port; as `host` if not given."""
    admin_port: Port = 8081
    """The port of health, metrics, console and administration."""
    workers: Annotated[Whole, Field(ge=1, le=256)] = 1
    """Processes that share the data port, one for each core at most."""
    allowed_hosts: Annotated[tuple[AllowedHost, ...], Field(min_length=1)] = ("*",)
    """Names that a Host header on the data port may have."""
    admin_allowed_hosts: Annotated[tuple[AllowedHost, ...], Field(min_length=1), AfterValidator(_known)] = Field(
        default_factory=_admin_hosts
    )
    """The same for the admin port, health excepted; this machine's own names and `admin_host` if not given."""
    trusted_proxies: tuple[Proxy, ...] = ()
    """Addresses and networks whose X-Forwarded-For is believed."""
    tls: Tls | None = None
    """TLS on the data port."""
    admin_tls: Tls | None = Field(default_factory=lambda data: data.get("tls"))
    """TLS on the admin port; as `tls` if not given, none if `null`."""
    limits: Limits = subsection()
    shutdown: Shutdown = subsection()

    @model_validator(mode="after")
    def _two_listeners(self) -> Server:
        same = self.host == self.admin_host or bool({self.host, self.admin_host} & _ANYWHERE)
        if self.port == self.admin_port != 0 and same:
            raise wrong(f"`port` and `admin_port` are both {self.port}; give each its own")
        return self
