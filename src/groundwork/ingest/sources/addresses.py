"""Which machines a source may be fetched from, so that nobody reads a private network through Groundwork.

What counts is the address a connection is made to. A name is looked up once, its addresses are judged, and the
connection goes to one of those: a name that leads elsewhere a moment later gains nothing.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from groundwork.errors import Refused, Unavailable

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host and port, best first. Raises Unavailable when the name leads nowhere."""

_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|\d+)(?:\.(?:0[xX][0-9a-fA-F]*|\d+)){0,3}\.?")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(ipaddress.ip_address(text) for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200"))
"""Where clouds tell a machine its secrets: never a document, whatever the settings say."""


def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses the system knows for a host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"The name {host} leads to no machine: check its spelling, or try again later.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Gate:
    """Decides which addresses may be connected to."""

    allow_private: bool = False
    """Whether loopback and private networks may be: link-local and cloud metadata addresses never are."""
    resolve: Resolve = look_up

    def admit(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of `host` to connect to, all of them judged.

        Raises Refused when any of them may not be connected to, Unavailable when there is none.
        """
        literal = _literal(host)
        addresses = [str(literal)] if literal is not None else list(self.resolve(host, port))
        if not addresses:
            raise Unavailable(f"The name {host} leads to no machine: check its spelling, or try again later.")
        for address in addresses:
            self.judge(host, ipaddress.ip_address(address))
        return tuple(addresses)

    def judge(self, host: str, address: Address) -> None:
        """Raises Refused when `address`, which `host` leads to, may not be connected to."""
        for each in (address, *_carried(address)):
            if not _may_hold_documents(each):
                raise Refused(f"{host} leads to {address}, which is no place documents are fetched from.")
            if not self.allow_private and not each.is_global:
                raise Refused(
                    f"{host} leads to {address}, an address inside a private network. Where that is meant, set "
                    "GROUNDWORK_SOURCES__ALLOW_PRIVATE_ADDRESSES=true."
                )


def _literal(host: str) -> Address | None:
    """The address that `host` spells out, in any of the spellings that systems understand (`127.1`, `0x7f000001`)."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    if _NUMERIC.fullmatch(bare) is None:
        return None
    try:
        return IPv4Address(socket.inet_aton(bare.removesuffix(".")))
    except OSError:
        raise Refused(f"{host} is neither a name nor an address.") from None


def _carried(address: Address) -> list[Address]:
    """IPv4 addresses inside an IPv6 one, which a gateway on the way would take out and connect to."""
    if isinstance(address, IPv4Address):
        return []
    carried: list[Address | None] = [address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in carried if each is not None]


def _may_hold_documents(address: Address) -> bool:
    if address in _METADATA or address.is_multicast or address.is_unspecified or address.is_link_local:
        return False
    if isinstance(address, IPv4Address):
        return not address.is_reserved and address not in ipaddress.ip_network("0.0.0.0/8")
    if address.is_site_local or address.ipv4_mapped is not None:
        return False
    return address.is_loopback or address in _NAT64 or not address.is_reserved
