"""A scripted source alone: how long it may load, and how long it may take to answer."""

from __future__ import annotations

import pytest

from omi_queries.backends.direct import Answers
from omi_queries.backends.foreign import ForeignAnswers
from omi_queries.backends.source import Exchange, Question, RawInstance, SourceError
from omi_queries.binding import bind
from tests.unit.test_backends_fallback import Call, Now, Script

BOTH = "SELECT Name FROM SCX_StatisticalInformation"


class Slow(Script):
    """Ready to be asked ``loads`` seconds after the first question; each answer takes ``takes`` seconds from then."""

    def __init__(self, now: Now, loads: float, takes: float) -> None:
        super().__init__(now)
        self.takes = takes
        self.ready_at = now.at + loads

    def ask(self, question: Question) -> Exchange:
        self.asked.append(question)
        return SlowCall(self, question)


class SlowCall(Call):
    def __init__(self, script: Slow, question: Question) -> None:
        super().__init__(script)
        self._slow = script
        self._put = max(script.now.at, script.ready_at)
        self._question = question

    def sent_at(self) -> float | None:
        return self._put if self._slow.now.at >= self._put else None

    def advance(self, timeout: float) -> bool:
        done = self._put + self._slow.takes
        self._slow.now.at = min(self._slow.now.at + timeout, max(done, self._slow.now.at))
        return self._slow.now.at >= done

    def result(self) -> list[RawInstance]:
        name = self._question.class_name
        return [RawInstance(name, {"Name": "x"}, {"Name": "string"} if self._question.foreign else {})]


def _answers(now: Now, source: Slow, text: str) -> Answers | ForeignAnswers:
    if "Vendor" in text:
        return ForeignAnswers("root/vendor", text, "wql", source, now)
    return Answers(bind("root/scx", text), "root/scx", source, now)


ONE, FOREIGN = "SELECT Name FROM SCX_MemoryStatisticalInformation", "SELECT * FROM Vendor_Pump"


@pytest.mark.parametrize("text", [ONE, FOREIGN])
def test_loading_is_not_counted(text: str) -> None:
    now = Now()
    source = Slow(now, loads=19.0, takes=9.0)
    assert _answers(now, source, text).read(10.0, 20.0).instances == [{"Name": "x"}]


@pytest.mark.parametrize("text", [ONE, FOREIGN])
@pytest.mark.parametrize(
    ("loads", "takes", "seconds", "said"),
    [
        (3.0, 99.0, 13.0, "no answer within 10 s"),
        (0.0, 99.0, 10.0, "no answer within 10 s"),
        (99.0, 0.0, 20.0, "it could not be made ready to ask within 20 s"),
    ],
)
def test_each_of_the_two_has_an_end(text: str, loads: float, takes: float, seconds: float, said: str) -> None:
    now = Now()
    source, begun = Slow(now, loads, takes), now.at
    with pytest.raises(SourceError) as caught:
        _answers(now, source, text).read(10.0, 20.0)
    assert str(caught.value) == said
    assert now.at - begun == pytest.approx(seconds, abs=0.2)
    assert source.abandoned == 1


def test_the_questions_of_one_query_share_the_time() -> None:
    now = Now()
    source, begun = Slow(now, loads=3.0, takes=4.0), now.at
    with pytest.raises(SourceError, match=r"no answer within 10 s"):
        _answers(now, source, BOTH).read(10.0, 20.0)
    assert len(source.asked) == 3
    assert now.at - begun == pytest.approx(13.0, abs=0.2)


def test_without_time_of_its_own_loading_is_counted() -> None:
    """As for a sample, which has /proc to answer it."""
    now = Now()
    source, begun = Slow(now, loads=19.0, takes=0.0), now.at
    with pytest.raises(SourceError, match=r"no answer within 2 s"):
        _answers(now, source, ONE).read(2.0)
    assert now.at - begun == pytest.approx(2.0)
