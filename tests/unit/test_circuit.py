"""The circuit breaker as a state machine: the documented sequence, and whatever may happen in any order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.llms import circuit
from groundwork.llms.circuit import CLOSED, Circuit, Ending, Entry, Rules

RULES = Rules(failures=5, seconds=30.0, successes=3, probes=1, probe_seconds=15.0)


@dataclass
class Scripted:
    """A circuit with a clock that is told what to show."""

    rules: Rules = RULES
    now: float = 1_000_000.0
    at: Circuit = CLOSED
    told: list[str] = field(default_factory=list[str])
    count: int = 0

    def enter(self) -> tuple[str, Entry]:
        self.count += 1
        name = f"r{self.count}"
        self._becomes(circuit.admit(self.at, self.rules, self.now, name))
        return name, self.entry

    def end(self, entered: tuple[str, Entry], how: Ending) -> None:
        name, entry = entered
        self._becomes((circuit.end(self.at, self.rules, self.now, name, entry.stay, how), entry))

    def _becomes(self, result: tuple[Circuit, Entry]) -> None:
        before, (self.at, self.entry) = self.at, result
        self.at = circuit.unpack(circuit.pack(self.at))
        if before.state != self.at.state:
            self.told.append(self.at.state)

    def request(self, how: Ending) -> bool:
        entered = self.enter()
        if entered[1].admitted:
            self.end(entered, how)
        return entered[1].admitted


def test_the_sequence_of_states_is_the_documented_one() -> None:
    one = Scripted()
    assert [one.request("failure") for _ in range(4)] == [True] * 4
    one.request("success")
    assert [one.request("failure") for _ in range(4)] == [True] * 4, "not five in a row"
    assert one.told == []
    assert one.request("failure")
    assert one.told == ["open"]

    one.now += 29.9
    assert not one.request("success")
    assert one.entry.wait == pytest.approx(0.1)
    assert one.at.seen(one.now) == "open"

    one.now += 0.1
    assert one.at.seen(one.now) == "half_open"
    assert one.request("success")
    assert one.request("success")
    assert one.told == ["open", "half_open"]
    assert one.request("failure"), "any failure opens it again"
    assert one.told == ["open", "half_open", "open"]

    one.now += 30
    assert [one.request("success") for _ in range(3)] == [True] * 3
    assert one.told == ["open", "half_open", "open", "half_open", "closed"]
    assert [one.request("failure") for _ in range(4)] == [True] * 4
    assert one.at.state == "closed", "it counts from the beginning"


def _opened(rules: Rules = RULES) -> Scripted:
    one = Scripted(rules)
    for _ in range(rules.failures):
        one.request("failure")
    assert one.at.state == "open"
    return one


def test_half_open_takes_no_more_than_its_probes_at_once() -> None:
    one = _opened(Rules(5, 30.0, 3, 2, 15.0))
    one.now += 30
    first, second, third = one.enter(), one.enter(), one.enter()
    assert [each[1].admitted for each in (first, second, third)] == [True, True, False]
    one.end(first, "dropped")
    fourth = one.enter()
    assert fourth[1].admitted, "a dropped probe is free again"
    assert one.at.successes == 0
    one.end(second, "success")
    one.end(fourth, "success")
    assert one.at.successes == 2


def test_a_probe_nobody_speaks_for_is_forgotten_and_one_that_runs_is_not() -> None:
    one = _opened()
    one.now += 30
    name, entry = one.enter()
    assert entry.probe
    for _ in range(10):
        one.now += 5
        one.at = circuit.renew(one.at, one.rules, one.now, name)
        assert not one.enter()[1].admitted
    one.now += 15
    assert one.enter()[1].admitted


def test_what_began_before_the_circuit_opened_says_nothing_after_it() -> None:
    one = Scripted()
    slow = [one.enter() for _ in range(3)]
    for _ in range(5):
        one.request("failure")
    one.end(slow[0], "success")
    assert one.at.state == "open"
    one.now += 30
    probe = one.enter()
    one.end(slow[1], "failure")
    one.end(slow[2], "success")
    assert (one.at.state, one.at.successes) == ("half_open", 0)
    one.end(probe, "success")
    assert one.at.successes == 1


def test_a_clock_that_is_ahead_keeps_it_open_no_longer_than_the_settings_say() -> None:
    one = Scripted(at=Circuit("open", 1, until=9e12))
    assert not one.enter()[1].admitted
    one.now += 30
    assert one.enter()[1].admitted


@pytest.mark.parametrize(
    "packed", [b"", b"[]", b"null", b"{}", b'{"state": "ajar"}', b"\xff", circuit.pack(CLOSED)[:-9]]
)
def test_what_cannot_be_read_is_a_closed_circuit(packed: bytes) -> None:
    assert circuit.unpack(packed) == CLOSED


_STEPS = st.one_of(
    st.tuples(st.just("enter"), st.just(0)),
    st.tuples(st.sampled_from(["success", "failure", "dropped"]), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 10, 29, 30, 31])),
)
_RULES = st.builds(Rules, st.integers(1, 4), st.just(30.0), st.integers(1, 4), st.integers(1, 3), st.just(1_000.0))


@given(_RULES, st.lists(_STEPS, max_size=120))
def test_it_does_what_a_slow_description_of_it_does(rules: Rules, steps: list[tuple[str, int]]) -> None:
    one, plain = Scripted(rules), _Plain(rules)
    running: list[tuple[str, Entry]] = []
    for what, number in steps:
        if what == "wait":
            one.now += number
        elif what == "enter":
            entered = one.enter()
            assert entered[1].admitted == plain.enter(entered[0], one.now)
            if entered[1].admitted:
                running.append(entered)
        elif running:
            ended = running.pop(number % len(running))
            one.end(ended, what)  # type: ignore[arg-type]
            plain.end(ended[0], what, one.now)
        assert one.at.state == plain.state
        assert len(one.at.probes) == plain.probes <= rules.probes


@dataclass
class _Plain:
    """The rules of the requirements, told by keeping everything that was let in since the last change of state."""

    rules: Rules
    state: str = "closed"
    opened: float = 0.0
    let_in: set[str] = field(default_factory=set[str])
    endings: list[str] = field(default_factory=list[str])

    @property
    def probes(self) -> int:
        return len(self.let_in) if self.state == "half_open" else 0

    def enter(self, name: str, now: float) -> bool:
        if self.state == "open" and now - self.opened >= self.rules.seconds:
            self._change("half_open")
        if self.state == "open" or (self.probes >= self.rules.probes and self.state == "half_open"):
            return False
        self.let_in.add(name)
        return True

    def end(self, name: str, how: str, now: float) -> None:
        if name not in self.let_in:
            return
        self.let_in.discard(name)
        self.endings += [how] if how != "dropped" else []
        in_a_row = self.rules.failures if self.state == "closed" else 1
        if self.endings[-in_a_row:] == ["failure"] * in_a_row:
            self._change("open")
            self.opened = now
        elif self.state == "half_open" and len(self.endings) == self.rules.successes:
            self._change("closed")

    def _change(self, state: str) -> None:
        self.state, self.let_in, self.endings = state, set(), []
