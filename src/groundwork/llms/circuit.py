"""The circuit breaker as a state machine, and nothing else: no clock, no storage, no waiting.

    closed ----- failures in a row -----> open
    open ------- some seconds ----------> half_open
    half_open -- successes in a row ----> closed
    half_open -- any failure -----------> open

What ended counts only in the stay in a state it was let in by: a request sent before the circuit opened says nothing
about the provider of half a minute later.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

State = Literal["closed", "open", "half_open"]
Ending = Literal["success", "failure", "dropped"]


@dataclass(frozen=True)
class Rules:
    """When the state changes. Times are in seconds."""

    failures: int
    seconds: float
    successes: int
    probes: int
    probe_seconds: float
    """After how long a probe that nobody speaks for any more is forgotten."""


@dataclass(frozen=True)
class Circuit:
    """Where it stands. Moments are Unix time."""

    state: State = "closed"
    stay: int = 0
    """Grows with every change of state."""
    failures: int = 0
    """In a row, while closed."""
    until: float = 0.0
    """While open."""
    successes: int = 0
    """In a row, while half-open."""
    probes: dict[str, float] = field(default_factory=dict[str, float])
    """While half-open: requests under way, and when each is forgotten."""

    def seen(self, now: float) -> State:
        """The state as it is at a moment: what has been open long enough is half-open, although nobody came yet."""
        return "half_open" if self.state == "open" and self.until <= now else self.state


@dataclass(frozen=True)
class Entry:
    """Whether a request may be sent."""

    admitted: bool
    stay: int = 0
    probe: bool = False
    wait: float = 0.0
    """When not: seconds until it is worth another try."""


CLOSED = Circuit()


def admit(circuit: Circuit, rules: Rules, now: float, name: str) -> tuple[Circuit, Entry]:
    """A request called `name` wants to be sent."""
    if circuit.state == "closed":
        return circuit, Entry(True, circuit.stay)
    if circuit.state == "open":
        # Another host's clock may be ahead, and settings may have become shorter.
        until = min(circuit.until, now + rules.seconds)
        if until > now:
            return replace(circuit, until=until), Entry(False, wait=until - now)
        circuit = Circuit("half_open", circuit.stay + 1)
    probes = {each: end for each, end in circuit.probes.items() if now < end <= now + 2 * rules.probe_seconds}
    if len(probes) >= rules.probes:
        return replace(circuit, probes=probes), Entry(False, wait=1.0)
    probes[name] = now + rules.probe_seconds
    return replace(circuit, probes=probes), Entry(True, circuit.stay, probe=True)


def renew(circuit: Circuit, rules: Rules, now: float, name: str) -> Circuit:
    """A probe is still under way."""
    if name not in circuit.probes:
        return circuit
    return replace(circuit, probes={**circuit.probes, name: now + rules.probe_seconds})


def end(circuit: Circuit, rules: Rules, now: float, name: str, stay: int, how: Ending) -> Circuit:
    """A request that was let in during `stay` has ended."""
    if stay != circuit.stay or circuit.state == "open":
        return circuit
    if circuit.state == "closed":
        return _end_closed(circuit, rules, now, how)
    return _end_probe(circuit, rules, now, name, how)


def _end_closed(circuit: Circuit, rules: Rules, now: float, how: Ending) -> Circuit:
    if how == "dropped":
        return circuit
    if how == "success":
        return replace(circuit, failures=0)
    if circuit.failures + 1 < rules.failures:
        return replace(circuit, failures=circuit.failures + 1)
    return _opened(circuit, rules, now)


def _end_probe(circuit: Circuit, rules: Rules, now: float, name: str, how: Ending) -> Circuit:
    if how == "failure":
        return _opened(circuit, rules, now)
    probes = {each: until for each, until in circuit.probes.items() if each != name}
    successes = circuit.successes + (how == "success")
    if successes >= rules.successes:
        return Circuit("closed", circuit.stay + 1)
    return replace(circuit, probes=probes, successes=successes)


def _opened(circuit: Circuit, rules: Rules, now: float) -> Circuit:
    return Circuit("open", circuit.stay + 1, until=now + rules.seconds)


def pack(circuit: Circuit) -> bytes:
    """As it is shared."""
    return json.dumps(asdict(circuit), separators=(",", ":")).encode()


def unpack(packed: bytes | None) -> Circuit:
    """What was shared; closed when there is nothing, or nothing that can be read."""
    if packed is None:
        return CLOSED
    try:
        said: dict[str, Any] = json.loads(packed)
        circuit = Circuit(
            said["state"],
            int(said["stay"]),
            int(said["failures"]),
            float(said["until"]),
            int(said["successes"]),
            {str(name): float(until) for name, until in said["probes"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return CLOSED
    return circuit if circuit.state in {"closed", "open", "half_open"} else CLOSED
