"""The sum: what is junk for whom, and why."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.junk.score import Evidence, Reputation, judge

NOBODY = Reputation()
FRIEND = Reputation(written=True)


class JudgeTests(SynchronousTestCase):
    def test_nothing_known_is_no_junk(self) -> None:
        self.assertEqual(judge(Evidence(), NOBODY).junk, False)
        self.assertFalse(judge(Evidence(spf="fail"), NOBODY).junk)

    def test_a_policy_is_obeyed_whoever_it_claims_to_be(self) -> None:
        for sender in (NOBODY, FRIEND, Reputation("safe")):
            found = judge(Evidence(policy="there.example asks to"), sender)
            self.assertEqual((found.junk, found.reason), (True, "there.example asks to"))

    def test_the_table(self) -> None:
        table = [
            (Evidence(listed=(("zen.example", 4.0),)), NOBODY, False),
            (Evidence(listed=(("zen.example", 4.0),), spf="fail"), NOBODY, True),
            (Evidence(listed=(("zen.example", 4.0),), spf="fail", signed=True), NOBODY, False),
            (Evidence(listed=(("a.example", 4.0), ("b.example", 4.0))), NOBODY, True),
            (Evidence(likely=0.999), NOBODY, True),
            (Evidence(likely=0.95), NOBODY, False),
            (Evidence(likely=0.95, listed=(("a.example", 4.0),)), NOBODY, True),
            (Evidence(likely=0.01, listed=(("a.example", 6.0),)), NOBODY, False),
            (Evidence(likely=0.999, authentic=True), FRIEND, False),
            (Evidence(likely=0.999), FRIEND, True),
            (Evidence(scanner=(15.0, 15.0)), NOBODY, True),
            (Evidence(scanner=(7.0, 15.0)), NOBODY, False),
            (Evidence(scanner=(-20.0, 15.0), likely=0.999), NOBODY, False),
            (Evidence(scanner=(15.0, 15.0), authentic=True), Reputation("safe"), False),
            (Evidence(scanner=(15.0, 15.0)), Reputation("safe"), True),
            (Evidence(authentic=True), Reputation("blocked"), True),
            (Evidence(), Reputation(junk=1), False),
            (Evidence(), Reputation(junk=2), True),
            (Evidence(), Reputation(junk=2, good=2), False),
            (Evidence(likely=0.99, authentic=True), Reputation(good=1), False),
        ]
        for evidence, sender, expected in table:
            found = judge(evidence, sender)
            self.assertIs(found.junk, expected, (evidence, sender, found))
            self.assertEqual(bool(found.reason), expected)

    def test_the_reason_names_what_weighed_most_first(self) -> None:
        found = judge(Evidence(spf="fail", listed=(("zen.example", 4.0),), likely=0.999), NOBODY)
        self.assertEqual(
            found.reason,
            "its words are those of junk (99.9%); the host is listed by zen.example; "
            "the sender's domain does not know the host",
        )

    def test_the_threshold_is_the_administrators(self) -> None:
        self.assertTrue(judge(Evidence(likely=0.95), NOBODY, 2.0).junk)
        self.assertFalse(judge(Evidence(likely=0.999), NOBODY, 9.0).junk)
