"""What a stolen password is worth."""

from __future__ import annotations

from posthouse.errors import PosthouseError, TryLater
from posthouse.store import allowance
from posthouse.store.allowance import Allowance
from tests.delivery.house import HouseCase
from tests.delivery.test_runner import OUT

HOUR = 3600


class AllowanceTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.intake.allowance = self.submission.allowance = Allowance(5, 3)
        self.number = 0

    def smtp(self, *names: str) -> PosthouseError | None:
        self.number += 1
        data = OUT.replace(b"<1@", b"<%d@" % self.number)
        recipients = [f"{name}@there.example" for name in names]
        envelope = self.envelope("ann@here.example", *recipients, account=self.ann)
        sending = self.intake.accept(envelope, self.spooled(data))
        found: list[object] = []
        sending.addBoth(found.append)
        value = getattr(found[0], "value", None)
        assert value is None or isinstance(value, PosthouseError)
        return value

    def test_new_recipients_are_few_known_ones_are_more(self) -> None:
        self.assertIsNone(self.smtp("a", "b", "c"))
        refused = self.smtp("d")
        self.assertIsInstance(refused, TryLater)
        assert refused is not None
        self.assertIn("new recipients", refused.public)
        self.assertIsNone(self.smtp("A", "b"))
        refused = self.smtp("a")
        assert refused is not None
        self.assertIn("too many recipients", refused.public)
        self.assertEqual(len(self.queue()), 5)

    def test_a_day_later_all_is_well(self) -> None:
        self.smtp("a", "b", "c")
        self.smtp("a", "b")
        self.clock.advance(23 * HOUR)
        self.assertIsNotNone(self.smtp("a"))
        self.clock.advance(2 * HOUR)
        self.assertIsNone(self.smtp("d"))

    def test_phones_count_as_well(self) -> None:
        self.submit(OUT.replace(b"far@there.example", b"a@there.example, b@there.example"))
        self.assertIsNone(self.smtp("c"))
        sending = self.submission.submit(self.ann, OUT, True)
        self.failureResultOf(sending, TryLater)
        self.assertEqual(len(self.queue()), 3)

    def test_mail_within_the_house_is_not_counted_and_others_have_their_own(self) -> None:
        self.smtp("a", "b", "c")
        for number in range(5):
            self.accept(
                OUT.replace(b"<1@", b"<h%d@" % number),
                "ann@here.example",
                "bob@here.example",
                account=self.ann,
            )
        self.submission.submit(self.bob, OUT.replace(b"ann@", b"bob@"), False)
        self.assertEqual(len(self.queue()), 4)

    def test_nothing_is_no_limit(self) -> None:
        self.intake.allowance = Allowance()
        self.assertIsNone(self.smtp(*"abcdefghij"))

    def test_what_counts_no_more_is_forgotten(self) -> None:
        self.smtp("a")
        year = self.now() + 401 * 24 * HOUR * 1000
        self.assertEqual(self.db.write_now(lambda tx: allowance.prune(tx, self.now(), 10)), 0)
        self.assertEqual(self.db.write_now(lambda tx: allowance.prune(tx, year, 10)), 2)
        self.assertEqual(self.db.write_now(lambda tx: allowance.prune(tx, year, 10)), 0)
