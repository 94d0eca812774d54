"""Which machines a source may be fetched from."""

import pytest

from groundwork.errors import Refused, Unavailable
from groundwork.ingest.sources.addresses import Gate

_INSIDE = [
    "127.0.0.1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "017700000001", "127.0.0.1.",
    "10.0.0.8", "172.16.3.4", "192.168.1.1", "100.64.0.1", "192.0.2.7", "198.18.0.1",
    "::1", "[::1]", "fc00::1", "fd12:3456::1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::", "2001:db8::1",
]  # fmt: skip
_NEVER = [
    "0.0.0.0", "0", "0.1.2.3", "169.254.169.254", "169.254.1.1", "2852039166", "0xa9fea9fe", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "100.100.100.200", "::", "fe80::1", "fec0::1", "ff02::1", "fd00:ec2::254",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
    "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "::127.0.0.1",
]  # fmt: skip


def _no_look_up(host: str, _port: int) -> list[str]:
    raise AssertionError(f"{host} is an address; nobody is asked for it")


@pytest.mark.parametrize("host", [*_INSIDE, *_NEVER])
def test_an_address_of_the_private_network_is_refused_however_it_is_spelt(host: str) -> None:
    with pytest.raises(Refused):
        Gate(resolve=_no_look_up).admit(host, 80)


@pytest.mark.parametrize("host", _NEVER)
def test_some_addresses_are_refused_whatever_the_settings_say(host: str) -> None:
    with pytest.raises(Refused, match="no place documents are fetched from"):
        Gate(allow_private=True, resolve=_no_look_up).admit(host, 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.8", "192.168.1.1", "fd12:3456::1", "100.64.0.1"])
def test_private_addresses_are_admitted_where_they_are_allowed(host: str) -> None:
    assert Gate(allow_private=True, resolve=_no_look_up).admit(host, 80) == (host,)


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_admitted(host: str) -> None:
    assert Gate(resolve=_no_look_up).admit(host, 443) == (host,)


def test_a_name_is_judged_by_every_address_it_leads_to() -> None:
    answers = {"good.example": ["8.8.8.8", "2606:4700::1111"], "bad.example": ["8.8.8.8", "10.0.0.1"]}
    gate = Gate(resolve=lambda host, _: answers[host])
    assert gate.admit("good.example", 443) == ("8.8.8.8", "2606:4700::1111")
    with pytest.raises(Refused, match=r"bad\.example leads to 10\.0\.0\.1.*ALLOW_PRIVATE_ADDRESSES"):
        gate.admit("bad.example", 443)


def test_a_name_that_leads_nowhere_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="leads to no machine"):
        Gate(resolve=lambda *_: []).admit("gone.example", 443)
    with pytest.raises(Refused, match="neither a name nor an address"):
        Gate(resolve=_no_look_up).admit("999.999.999.999", 443)
