"""Latest: earlier questions of the same browser are stale, and what is kept is bounded."""

from explorer.tabs import latest


def test_a_new_question_makes_earlier_ones_stale_and_no_others():
    asked = latest.Latest()
    asked.ask("one")
    first = asked.still("one")
    asked.ask("other")
    assert first()
    asked.ask("one")
    second = asked.still("one")
    assert not first()
    assert second()


def test_what_is_kept_is_bounded_and_what_is_forgotten_goes_on(monkeypatch):
    monkeypatch.setattr(latest, "MOST", 3)
    asked = latest.Latest()
    asked.ask("first")
    still = asked.still("first")
    for index in range(5):
        asked.ask(index)
    assert len(asked._asked) == 3
    assert still()
