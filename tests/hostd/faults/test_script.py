"""Scripts of faults: what is accepted, what is refused with which words, and that a seed gives one plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racklet_hostd.errors import ConfigError
from racklet_hostd.faults.pattern import PATTERN_LIMIT, Pattern
from racklet_hostd.faults.plan import Plan, Span
from racklet_hostd.faults.script import SEED_LIMIT, Script

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("faults-*.toml"))
CUT = '[[fault]]\nnode = "node-1"\nwhat = "cut"\nafter_s = [1, 9]\nfor_s = [2, 4]\n'
FLAP = '[[fault]]\nnode = "node-2"\nwhat = "flap"\nphase = "kernel"\ntimes = 3\noff_s = [1, 2]\non_s = 4\n'


def plan_of(text: str, seed: int | None = None) -> Plan:
    return Script.parse("lesson.toml", text).plan(seed)


def times(plan: Plan) -> list[tuple[int, tuple[Span, ...]]]:
    return [(fault.delay_ms, fault.spans) for fault in plan.faults]


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Script.parse("lesson.toml", text)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_script(path: Path) -> None:
    plan = plan_of(path.read_text())
    assert plan.nodes
    assert len(plan.faults) == path.read_text().count("[[fault]]")


def test_there_is_an_example_for_teaching_and_one_for_research() -> None:
    assert [path.name for path in EXAMPLES] == ["faults-lesson.toml", "faults-research.toml"]


@given(st.integers(0, SEED_LIMIT))
def test_a_seed_gives_one_plan_with_times_in_their_ranges(seed: int) -> None:
    plan = plan_of(CUT + FLAP, seed)
    assert times(plan) == times(plan_of(CUT + FLAP, seed))
    assert plan.seed == seed
    cut, flap = plan.faults
    assert 1000 <= cut.delay_ms <= 9000
    assert [2000 <= (span.off_ms or 0) <= 4000 for span in cut.spans] == [True]
    assert all(1000 <= (span.off_ms or 0) <= 2000 for span in flap.spans)
    assert [span.on_ms for span in flap.spans] == [4000, 4000, 0]


@given(st.integers(0, SEED_LIMIT))
def test_a_fault_at_the_end_changes_nothing_before(seed: int) -> None:
    assert times(plan_of(CUT, seed)) == times(plan_of(CUT + FLAP, seed))[:1]


def test_the_draws_of_a_seed_stay_the_same_for_ever() -> None:
    assert times(plan_of(CUT + CUT, 7)) == [(3591, (Span(2302, 0),)), (6207, (Span(2145, 0),))]


def test_without_a_seed_there_is_a_new_one_each_time_which_repeats_the_plan() -> None:
    plans = [plan_of(CUT) for _ in range(5)]
    assert len({plan.seed for plan in plans}) > 1
    assert times(plan_of(CUT, plans[0].seed)) == times(plans[0])
    assert plan_of("seed = 4\n" + CUT).seed == 4
    assert plan_of("seed = 4\n" + CUT, 5).seed == 5


def test_a_plan_reads_as_people_talk() -> None:
    hold = '[[fault]]\nnode = "node-3"\nwhat = "hold-off"\nconsole = "panic"\nafter_s = 1.5\n'
    both = '[[fault]]\nnode = "node-3"\nwhat = "hold-off"\nfor_s = 2\nphase = "login"\nconsole = "sh"\n'
    plan = plan_of(CUT.replace("[1, 9]", "2").replace("[2, 4]", "3") + FLAP.replace("[1, 2]", "1") + hold + both)
    assert [(fault.deed, fault.trigger) for fault in plan.faults] == [
        ("cut for 3 s", "2 s after the begin"),
        ("flap 3 times, off for 1 s, on for 4 s", "as soon as a boot reaches kernel"),
        ("hold-off until the end", "1.5 s after its console shows /panic/"),
        ("hold-off for 2 s", "as soon as a boot reaches login and its console then shows /sh/"),
    ]
    assert plan.nodes == ("node-1", "node-2", "node-3")


HEAD = '[[fault]]\nnode = "node-1"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "lesson.toml: fault: expected 1 to 64 tables [[fault]], found 0"),
        (CUT * 65, "lesson.toml:1: fault: expected 1 to 64 tables [[fault]], found 65"),
        ("limit_s = 3601\n" + CUT, "lesson.toml:1: limit_s: expected a number from 1 to 3600, found 3601"),
        ("seed = -1\n" + CUT, "lesson.toml:1: seed: expected a number from 0 to 4294967295, found -1"),
        ("fault = 3", "lesson.toml:1: fault: expected [[fault]], found 3"),
        ("a = [", "lesson.toml:1: not TOML: Invalid value"),
        (HEAD + 'what = "cut"\nfor_s = 1\n', "lesson.toml:3: fault[0].what: expected after_s, console or phase"),
        (HEAD + 'what = "cut"\nafter_s = 1\n', "lesson.toml:1: fault[0].for_s: expected this key, since what is cut"),
        (CUT + "times = 3\n", "lesson.toml:6: fault[0].times: expected no such key, since what is cut"),
        (CUT.replace("cut", "cud"), 'expected "cut", "flap", "hold-off" or "brown-out", found "cud"'),
        (CUT.replace("[1, 9]", "[9, 1]"), "after_s: expected seconds from 0 to 3600, or [least, most], found an array"),
        (CUT.replace("[1, 9]", "true"), "after_s: expected seconds from 0 to 3600, or [least, most], found true"),
        (CUT.replace("[1, 9]", "nan"), "after_s: expected seconds from 0 to 3600, or [least, most], found NaN"),
        (CUT.replace("[2, 4]", "0"), "for_s: expected a time above 0, in which something can happen, found 0"),
        (FLAP.replace("kernel", "kern"), "expected one of rom, firmware, tf-a, u-boot, kernel, init, login, halted"),
        (FLAP.replace("3", "1"), "times: expected a number from 2 to 100, found 1"),
        (CUT + "console = 3", "console: expected a regular expression, found 3"),
        (CUT + "console = '['", "lesson.toml:6: fault[0].console: expected a regular expression as RE2 takes it (miss"),
        (CUT + "console = 'a*'", "expected a regular expression that does not find just anything"),
        (CUT + "console = ''", "expected a regular expression of 1 to 500 characters"),
        (CUT + f"console = '{'a' * 501}'", "expected a regular expression of 1 to 500 characters"),
        (CUT + "console = '((a{100}){100}){100}'", "expected a regular expression as RE2 takes it (invalid repetition"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, problem: str) -> None:
    assert problem in problems_of(text)[0]


@pytest.mark.parametrize(
    "text", ["(a+)+$", "(x+x+)+y", "a?" * 150 + "a" * 150, "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)z"]
)
def test_a_pattern_that_ruins_other_engines_ends(text: str) -> None:
    assert len(text) <= PATTERN_LIMIT
    assert Pattern(text).is_in("a" * 4096 + "!") is text.endswith("a")
