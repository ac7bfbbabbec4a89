"""Full mailboxes: who is refused, for how long, and which step the reader is told of."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import MailboxFull, OverQuota
from posthouse.model import Account
from posthouse.store import accounts, quotas
from tests.support.store import NOW, add, folder, make_account, make_database


class QuotaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@example.org")
        self.bob = make_account(self.db, "bob@example.org")

    def fill(self, account: Account, size: int) -> None:
        add(self.db, folder(self.db, account), data=b"x" * size)

    def check(self, account: Account, default: int, now: int = NOW) -> None:
        self.db.read_now(lambda tx: quotas.check(tx, account.mailbox_id, default, now))

    def steps(self, default: int) -> dict[str, int]:
        found = self.db.read_now(lambda tx: quotas.due_warnings(tx, default, 10))
        return {usage.address: usage.wanted_step for usage in found}

    def told(self, account: Account, step: int, now: int = NOW) -> None:
        self.db.write_now(lambda tx: quotas.note_step(tx, account.mailbox_id, step, now))

    def quota(self, account: Account, quota: int | None) -> None:
        self.db.write_now(lambda tx: accounts.set_quota(tx, account.mailbox_id, quota))

    def test_the_own_quota_goes_before_that_of_everybody(self) -> None:
        self.fill(self.ann, 100)
        self.check(self.ann, 101)
        self.check(self.ann, 0)
        self.assertRaises(OverQuota, self.check, self.ann, 100)
        self.quota(self.ann, 1000)
        self.check(self.ann, 100)
        self.quota(self.ann, 0)
        self.check(self.ann, 100)
        self.quota(self.ann, 50)
        self.assertRaises(OverQuota, self.check, self.ann, 0)
        self.quota(self.ann, None)
        self.check(self.ann, 0)

    def test_the_full_are_refused_for_good_after_three_days(self) -> None:
        self.fill(self.ann, 100)
        self.assertTrue(OverQuota.temporary and not MailboxFull.temporary)
        self.told(self.ann, 100)
        with self.assertRaises(OverQuota) as caught:
            self.check(self.ann, 100, NOW + quotas.GRACE)
        self.assertNotIsInstance(caught.exception, MailboxFull)
        self.assertRaises(MailboxFull, self.check, self.ann, 100, NOW + quotas.GRACE + 1)
        self.told(self.ann, 100, NOW + 5)  # to be told again does not begin anew
        self.assertRaises(MailboxFull, self.check, self.ann, 100, NOW + quotas.GRACE + 1)
        self.check(self.ann, 101, NOW + quotas.GRACE + 1)

    def test_among_several_the_long_full_are_left_out(self) -> None:
        self.fill(self.ann, 100)
        boxes = (self.ann.mailbox_id, self.bob.mailbox_id)

        def ask(now: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
            return self.db.read_now(lambda tx: quotas.without_full(tx, boxes, False, 100, now))

        self.assertEqual(ask(NOW), (boxes, ()))
        self.told(self.ann, 100)
        self.assertEqual(ask(NOW + quotas.GRACE + 1), (boxes[1:], boxes[:1]))

    def test_each_step_is_due_once_and_again_after_it_was_left(self) -> None:
        self.assertEqual(self.steps(1000), {})
        self.fill(self.ann, 799)
        self.assertEqual(self.steps(1000), {})
        for size, step in ((1, 80), (99, 0), (1, 90), (50, 95), (49, 0), (1, 100)):
            self.fill(self.ann, size)
            self.assertEqual(self.steps(1000), {"ann@example.org": step} if step else {})
            if step:
                self.told(self.ann, step)
                self.assertEqual(self.steps(1000), {})
        self.quota(self.ann, 1100)  # 90 per cent of it
        self.assertEqual(self.steps(1000), {"ann@example.org": 90})
        self.told(self.ann, 90)
        self.quota(self.ann, 1000)
        self.assertEqual(self.steps(1000), {"ann@example.org": 100})

    def test_the_step_in_sql_is_the_step_of_the_value(self) -> None:
        self.fill(self.ann, 957)
        for quota in (957, 958, 1007, 1008, 1063, 1064, 1196, 1197, 5000):
            self.quota(self.ann, quota)
            usage = self.db.read_now(lambda tx: quotas.usage(tx, self.ann.mailbox_id, 0))
            assert usage is not None
            self.assertEqual(self.steps(0).get("ann@example.org", 0), usage.wanted_step, quota)

    def test_usages_go_page_by_page(self) -> None:
        self.fill(self.bob, 10)
        page = self.db.read_now(lambda tx: quotas.usages(tx, 40, limit=1))
        self.assertEqual([(one.address, one.percent) for one in page], [("ann@example.org", 0)])
        page = self.db.read_now(lambda tx: quotas.usages(tx, 40, after="ann@example.org", limit=1))
        self.assertEqual(
            [(one.address, one.percent, one.own) for one in page], [("bob@example.org", 25, False)]
        )
