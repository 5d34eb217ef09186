"""When a study is complete: any order, duplicates, pauses, associations and numbers from the source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from casewise.exchange.settings import Receive
from casewise.server.dicom.completeness import Series, is_complete

TIMES = Receive(idle_seconds=10, picture_idle_seconds=2, force_seconds=100)


def mr(uid: str = "1.1", instances: int = 3, first: float = 0.0, last: float = 0.0, receiving: bool = True) -> Series:
    return Series(uid, "MR", instances, first, last, receiving)


def test_nothing_is_complete_while_something_comes_or_somebody_sends() -> None:
    assert not is_complete([mr(last=5)], TIMES, 14.9)
    assert is_complete([mr(last=5)], TIMES, 15)
    assert not is_complete([mr(last=5)], TIMES, 50, sending=True)
    assert is_complete([mr(last=5)], TIMES, 100, sending=True)  # at the latest after force_seconds
    assert is_complete([replace(mr(last=5), modality="DX")], TIMES, 7)


def test_a_study_waits_for_all_its_series() -> None:
    assert not is_complete([mr(last=5), mr("1.2", last=9)], TIMES, 16)
    assert is_complete([mr(last=5), mr("1.2", last=9)], TIMES, 19)
    settled = mr("1.2", last=18, receiving=False)
    assert is_complete([mr(last=5), settled], TIMES, 19)
    assert not is_complete([settled], TIMES, 1000)  # it was complete before, and nothing came since


def test_it_is_complete_at_once_where_the_source_says_so() -> None:
    both = [mr(instances=3, last=5), mr("1.2", instances=2, last=5)]
    assert is_complete(both, TIMES, 5, sending=True, expected={"1.1": 3, "1.2": 2})
    assert not is_complete(both, TIMES, 5, expected={"1.1": 4, "1.2": 2})
    assert not is_complete(both, TIMES, 5, expected={"1.1": 3, "1.2": 2, "1.3": 1})  # one of its series is still to come
    assert not is_complete(both, TIMES, 5, expected={"1.1": 3})  # the source does not know of one
    assert is_complete(both, TIMES, 15, expected={"1.1": 4})  # what does not come is not waited for


def test_idle_time_begins_anew_when_the_process_does() -> None:
    assert not is_complete([mr(last=5)], TIMES, 55, since=50)
    assert is_complete([mr(last=5)], TIMES, 60, since=50)
    assert is_complete([mr(last=5)], TIMES, 100, since=95)


def test_times_ahead_of_a_clock_that_was_set_back_do_not_count() -> None:
    assert is_complete([mr(first=5000, last=5000)], TIMES, 10)


@dataclass
class Log:
    """What a study came to: at each completion, the instances of each series."""

    versions: list[dict[str, int]] = field(default_factory=list)


@dataclass
class World:
    """A study that is sent, with the rule asked after each event and at each pause, as the dispatcher does."""

    now: float = 0.0
    sending: bool = False
    series: dict[str, Series] = field(default_factory=dict)
    sops: dict[str, set[int]] = field(default_factory=dict)
    log: Log = field(default_factory=Log)

    def arrive(self, uid: str, sop: int) -> None:
        known = self.series.get(uid)
        fresh = sop not in self.sops.setdefault(uid, set())
        self.sops[uid].add(sop)
        if known is None or (fresh and not known.receiving):
            self.series[uid] = mr(uid, len(self.sops[uid]), self.now, self.now)
        elif known.receiving:
            self.series[uid] = replace(known, last=self.now, instances=len(self.sops[uid]))
        self.look()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    def look(self) -> None:
        if is_complete(self.series.values(), TIMES, self.now, sending=self.sending):
            self.log.versions.append({uid: len(sops) for uid, sops in self.sops.items()})
            self.series = {uid: replace(one, receiving=False) for uid, one in self.series.items()}


_OBJECTS = [(uid, sop) for uid, count in (("1.1", 3), ("1.2", 2), ("1.3", 1)) for sop in range(count)]


@given(
    st.permutations(_OBJECTS),
    st.lists(st.sampled_from(_OBJECTS)),
    st.lists(st.floats(0, 9.9), min_size=6, max_size=6),
    st.booleans(),
)
def test_one_completion_in_any_order_with_duplicates_and_pauses(
    order: list[tuple[str, int]], again: list[tuple[str, int]], pauses: list[float], connected: bool
) -> None:
    """A study that is sent without a pause longer than the idle time is complete once, whole; sent again it stays so."""
    world = World(sending=connected)
    for number, one in enumerate(order):
        world.arrive(*one)
        if number < len(order) - 1:
            world.wait(pauses[number])
    assert world.log.versions == []
    world.sending = False
    world.wait(10.01)
    whole = {"1.1": 3, "1.2": 2, "1.3": 1}
    assert world.log.versions == [whole]
    for one in again:
        world.arrive(*one)
        world.wait(200)
    assert world.log.versions == [whole]
    world.arrive("1.2", 99)  # late
    world.wait(10.01)
    world.wait(200)
    assert world.log.versions == [whole, {**whole, "1.2": 3}]


@given(st.lists(st.floats(0.1, 9.9), min_size=30, max_size=60))
def test_what_never_pauses_is_complete_at_the_latest_after_the_force_time(pauses: list[float]) -> None:
    world = World(sending=True)
    first = 0.0
    for number, pause in enumerate(pauses):
        before = len(world.log.versions)
        if not any(one.receiving for one in world.series.values()):
            first = world.now
        world.arrive("1.1", number)
        world.wait(pause)
        if len(world.log.versions) > before:
            assert world.now - first >= TIMES.force_seconds
        else:
            assert world.now - first < TIMES.force_seconds
