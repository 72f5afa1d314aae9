"""Whether a node lives, hour by hour, in no time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from racklet_hostd.watchdog.life import HOUR_MS, LifeRules, LifeWatch, Step, Verdict

SECOND_MS = 1000
BOOT_MS = 60_000
SILENCE_MS = 30_000


def watch(*, silence_ms: int | None = SILENCE_MS, probes: int | None = None, recoveries: int = 2) -> LifeWatch:
    """Return the watch of a node whose supply came on at 0."""
    life = LifeWatch(LifeRules(BOOT_MS, silence_ms, probes, recoveries))
    life.see_supply(on=True, now_ms=0)
    return life


def first_verdict(life: LifeWatch, start_ms: int, end_ms: int) -> tuple[int, Verdict] | None:
    for now_ms in range(start_ms, end_ms, SECOND_MS):
        if verdict := life.tick(now_ms):
            return now_ms, verdict
    return None


def test_a_node_may_be_silent_while_it_boots() -> None:
    assert first_verdict(watch(), 0, BOOT_MS + SILENCE_MS) is None


def test_silence_is_counted_from_the_end_of_the_boot() -> None:
    found = first_verdict(watch(), 0, HOUR_MS)
    assert found == (BOOT_MS + SILENCE_MS, Verdict(Step.RECOVER, "its console has been silent for 30 s"))


def test_a_node_that_speaks_is_left_alone() -> None:
    life = watch()
    for now_ms in range(0, HOUR_MS, SECOND_MS):
        if now_ms % (SILENCE_MS - SECOND_MS) == 0:
            life.hear_console(now_ms)
        assert life.tick(now_ms) is None


def test_only_failures_in_a_row_count() -> None:
    life = watch(silence_ms=None, probes=3)
    life.tick(BOOT_MS)
    for failure in ("refused", "refused", "", "refused", "refused"):
        life.take_probe(failure)
        assert life.tick(BOOT_MS) is None
    life.take_probe("no answer within 5 s")
    assert life.tick(BOOT_MS) == Verdict(Step.RECOVER, "3 probes in a row failed: no answer within 5 s")


def test_a_node_that_may_not_be_cycled_is_reported_once() -> None:
    life = watch(recoveries=0)
    found = first_verdict(life, 0, HOUR_MS)
    assert found is not None
    assert found[1].step is Step.REPORT
    assert first_verdict(life, found[0], 10 * HOUR_MS) is None


def test_a_sign_of_life_after_the_report_is_told() -> None:
    life = watch(recoveries=0)
    found = first_verdict(life, 0, HOUR_MS)
    assert found is not None
    life.hear_console(found[0] + 1)
    assert life.tick(found[0] + SECOND_MS) == Verdict(Step.REJOICE, "it gives signs of life again")


def test_it_gives_up_after_so_many_recoveries_in_an_hour() -> None:
    life = watch(recoveries=2)
    now_ms, steps = 0, []
    for _ in range(3):
        found = first_verdict(life, now_ms, now_ms + HOUR_MS)
        assert found is not None
        now_ms = found[0]
        steps.append(found[1].step)
        life.see_supply(on=False, now_ms=now_ms)
        life.see_supply(on=True, now_ms=now_ms)
    assert steps == [Step.RECOVER, Step.RECOVER, Step.GIVE_UP]


def test_an_hour_later_it_may_be_cycled_again() -> None:
    life = watch(recoveries=1)
    first = first_verdict(life, 0, HOUR_MS)
    assert first is not None
    life.see_supply(on=False, now_ms=first[0])
    life.see_supply(on=True, now_ms=first[0] + HOUR_MS)
    second = first_verdict(life, first[0] + HOUR_MS, first[0] + 2 * HOUR_MS)
    assert second is not None
    assert second[1].step is Step.RECOVER


def test_a_node_that_is_off_or_whose_hat_is_away_is_not_missed() -> None:
    life = watch()
    life.tick(BOOT_MS)
    life.see_supply(on=False, now_ms=BOOT_MS)
    assert first_verdict(life, BOOT_MS, HOUR_MS) is None


def test_probes_are_wanted_only_when_they_tell_something() -> None:
    life = watch(probes=1)
    assert not life.wants_probes
    life.tick(BOOT_MS)
    assert life.wants_probes
    assert not watch().wants_probes


class AnyLife(RuleBasedStateMachine):
    """Whatever happens, no more recoveries within an hour than allowed, and no verdict about a node that is off."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.on = False
        self.on_ms = 0
        self.life = LifeWatch(LifeRules(BOOT_MS, SILENCE_MS, 2, 3))
        self.recoveries: list[int] = []

    @rule(on=st.booleans())
    def switch(self, *, on: bool) -> None:
        if on and not self.on:
            self.on_ms = self.now_ms
        self.on = on
        self.life.see_supply(on=on, now_ms=self.now_ms)

    @rule()
    def speak(self) -> None:
        self.life.hear_console(self.now_ms)

    @rule(failure=st.sampled_from(("", "refused")))
    def probe(self, failure: str) -> None:
        if self.life.wants_probes:
            self.life.take_probe(failure)

    @rule(span_ms=st.integers(1, 20 * 60_000))
    def wait(self, span_ms: int) -> None:
        self.now_ms += span_ms
        verdict = self.life.tick(self.now_ms)
        if verdict is not None:
            assert self.on
            assert self.now_ms - self.on_ms >= BOOT_MS
            if verdict.step is Step.RECOVER:
                self.recoveries.append(self.now_ms)

    @invariant()
    def is_bounded(self) -> None:
        assert sum(self.now_ms - at_ms < HOUR_MS for at_ms in self.recoveries) <= 3


AnyLife.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase


@given(st.integers(0, 10), st.integers(1, 10 * HOUR_MS))
def test_a_tick_at_rest_does_nothing(recoveries: int, now_ms: int) -> None:
    assert LifeWatch(LifeRules(BOOT_MS, 1, 1, recoveries)).tick(now_ms) is None
