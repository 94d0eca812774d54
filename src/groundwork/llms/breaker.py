"""The circuit breaker of a provider: its state is shared through the cache, and an operator may decide over it.

While all is well a request costs one look at the cache, and its success another; nothing is written. The state is that
of all processes as long as they share a Redis; without one each process has its own.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from groundwork.caches import Cache
from groundwork.clock import new_id
from groundwork.errors import Unavailable
from groundwork.llms import ModelFailed, circuit
from groundwork.llms.circuit import Circuit, Ending, Entry, Rules, State
from groundwork.llms.switches import Position, Switches
from groundwork.settings import LlmSettings
from groundwork.telemetry import metrics

log = structlog.get_logger()

T = TypeVar("T")

_PROBE_SECONDS = 15.0
_DAY = 86_400.0


def rules(settings: LlmSettings) -> Rules:
    """What the settings say of breakers."""
    return Rules(
        settings.breaker_failures,
        settings.breaker_seconds,
        settings.breaker_successes,
        settings.breaker_probes,
        _PROBE_SECONDS,
    )


@dataclass
class Ticket:
    """Leave to send one request. How that ended is told to the breaker; a second telling does nothing."""

    name: str
    stay: int = 0
    counts: bool = True
    """Not while an operator holds the breaker closed."""
    open: bool = True
    holding: "asyncio.Task[None] | None" = field(default=None, repr=False)
    """Says for a probe that it is under way, so that it is forgotten soon when this process dies."""


@dataclass(frozen=True)
class Look:
    """How a breaker stands."""

    state: State
    """What a request meets now, the switch included."""
    position: Position
    own: Circuit
    """What it would decide by itself."""


class Breaker:
    """One provider's. Nothing here but `admit` raises, and that only ModelFailed."""

    def __init__(
        self,
        provider: str,
        cache: Cache,
        rules: Rules,
        switches: Switches | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.provider = provider
        self._cache = cache
        self._rules = rules
        self._switches = switches
        self._clock = clock
        self._key = f"breaker:{provider}"
        self._remembered = max(_DAY, 2 * rules.seconds)
        self._telling: set[asyncio.Task[None]] = set()

    async def admit(self) -> Ticket:
        """Leave to send a request, to be given back by `succeed`, `fail` or `drop`.

        Raises ModelFailed (`circuit_open`) when the provider is to be left alone; `retry_after` says for how long.
        """
        position = await self._position()
        if position == "closed":
            return Ticket("", counts=False)
        if position == "open":
            raise ModelFailed("circuit_open", f"{self.provider} was taken out of use by an operator.")
        name = new_id().hex
        entry = await self._enter(name)
        if not entry.admitted:
            raise ModelFailed(
                "circuit_open",
                f"{self.provider} failed several times and is left alone for {entry.wait:.0f} s.",
                entry.wait,
            )
        ticket = Ticket(name, entry.stay)
        if entry.probe:
            ticket.holding = asyncio.create_task(self._hold(ticket))
        return ticket

    async def succeed(self, ticket: Ticket) -> None:
        """The request brought a whole answer."""
        await self._told(ticket, "success")

    async def fail(self, ticket: Ticket) -> None:
        """The provider is to blame that it did not."""
        await self._told(ticket, "failure")

    async def drop(self, ticket: Ticket) -> None:
        """Nobody wanted the rest: it counts neither way."""
        await self._told(ticket, "dropped")

    async def state(self) -> State:
        """What a request meets now."""
        return (await self.look()).state

    async def look(self) -> Look:
        """How it stands; the metric says the same from now on."""
        own = await self._read()
        position = await self._position()
        state = own.seen(self._clock()) if position == "auto" else position
        metrics.breaker_state(self.provider, state)
        return Look(state, position, own)

    async def _position(self) -> Position:
        return await self._switches.position(self.provider) if self._switches is not None else "auto"

    async def _enter(self, name: str) -> Entry:
        known = await self._read()
        after, entry = circuit.admit(known, self._rules, self._clock(), name)
        if after == known:
            return entry

        def step(known: Circuit) -> tuple[Circuit, Entry]:
            return circuit.admit(known, self._rules, self._clock(), name)

        try:
            return await self._change(step, entry)
        except asyncio.CancelledError:  # it may be a probe already, and nobody would end it
            self._tell_later(name, after.stay, "dropped")
            raise

    async def _told(self, ticket: Ticket, how: Ending) -> None:
        if not ticket.open:
            return
        ticket.open = False
        if ticket.holding is not None:
            ticket.holding.cancel()
        if ticket.counts:
            await asyncio.shield(self._tell_later(ticket.name, ticket.stay, how))

    def _tell_later(self, name: str, stay: int, how: Ending) -> "asyncio.Task[None]":
        """Told even when who tells it is cancelled meanwhile."""
        telling = asyncio.create_task(self._tell(name, stay, how))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
        return telling

    async def _tell(self, name: str, stay: int, how: Ending) -> None:
        def step(known: Circuit) -> tuple[Circuit, None]:
            return circuit.end(known, self._rules, self._clock(), name, stay, how), None

        known = await self._read()
        if step(known)[0] != known:
            await self._change(step, None)

    async def _hold(self, ticket: Ticket) -> None:
        def step(known: Circuit) -> tuple[Circuit, None]:
            return circuit.renew(known, self._rules, self._clock(), ticket.name), None

        while ticket.open:
            await asyncio.sleep(self._rules.probe_seconds / 3)
            await self._change(step, None)

    async def _read(self) -> Circuit:
        try:
            return circuit.unpack(await self._cache.get(self._key))
        except Unavailable:
            return circuit.CLOSED

    async def _change(self, step: Callable[[Circuit], tuple[Circuit, T]], otherwise: T) -> T:
        def change(packed: bytes | None) -> tuple[bytes, tuple[Circuit, Circuit, T]]:
            before = circuit.unpack(packed)
            after, answer = step(before)
            return circuit.pack(after), (before, after, answer)

        try:
            before, after, answer = await self._cache.update(self._key, change, self._remembered)
        except Unavailable:
            return otherwise
        if before.state != after.state:
            self._note(before, after)
        return answer

    def _note(self, before: Circuit, after: Circuit) -> None:
        metrics.breaker_transition(self.provider, before.state, after.state)
        log.warning(
            f"circuit of {self.provider}: {before.state} -> {after.state}",
            provider=self.provider,
            seconds=self._rules.seconds if after.state == "open" else None,
        )
