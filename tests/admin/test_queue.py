"""The queue in the administrator's hand."""

from __future__ import annotations

from typing import Any

from posthouse.errors import Conflict, Malformed, NoSuchThing
from posthouse.store import bodies, outbox, queue_orders
from tests.admin.test_operations import NOW, OperationsCase


class QueueTests(OperationsCase):
    def add(self, recipient: str = "bob@else.example", sender: str = "ann@example.org") -> int:
        def enqueue(tx: Any) -> int:
            body = bodies.put_body(tx, bodies.prepare(b"Subject: x\r\n\r\nhello\r\n"), NOW)
            draft = outbox.OutboxDraft(
                account_id=None,
                body_id=body.id,
                sender=sender,
                recipient=recipient,
                size=body.size,
                due=NOW + 3_600_000,
                expires=NOW + 86_400_000,
            )
            return outbox.enqueue(tx, draft, NOW)

        return self.db.write_now(enqueue)

    def states(self) -> dict[int, str]:
        return {row["id"]: row["state"] for row in self.run_op("queue list")}

    def test_orders_reach_a_domain_or_a_sender(self) -> None:
        one, two, three = self.add(), self.add("eve@Third.example"), self.add(sender="joe@example.org")
        self.assertEqual(self.run_op("queue hold", domain="Third.Example"), {"held": [two]})
        self.assertEqual(self.run_op("queue hold", sender="joe@example.org"), {"held": [three]})
        self.assertEqual(self.states(), {one: "due", two: "held", three: "held"})
        self.assertEqual([row["id"] for row in self.run_op("queue list", state="held")], [two, three])
        self.assertEqual(self.run_op("queue retry"), {"retried": [one]})
        self.assertEqual(self.run_op("queue release", domain="third.example"), {"released": [two]})
        self.assertEqual(self.run_op("queue drop", sender="joe@example.org"), {"dropped": [three]})
        self.assertEqual(self.states(), {one: "due", two: "due"})

    def test_nothing_is_meant_by_nothing(self) -> None:
        self.add()
        for name in ("queue hold", "queue release", "queue drop", "queue bounce"):
            self.refused(Malformed, name)
        self.refused(Malformed, "queue list", state="lost")
        self.refused(Malformed, "queue pause", domain="no domain")

    def test_a_bounce_is_left_to_the_queue_with_the_words_for_the_sender(self) -> None:
        number = self.add()
        self.assertEqual(
            self.run_op("queue bounce", id=number, reason="wrong\r\n list"), {"bounced": [number]}
        )
        row = self.db.read_now(lambda tx: outbox.outbox_row(tx, number))
        assert row is not None
        self.assertEqual((row.verdict, row.due, self.pokes), ("wrong list", NOW, [1]))

    def test_a_message_that_is_not_held_is_not_released(self) -> None:
        self.refused(Conflict, "queue release", id=self.add())

    def test_a_domain_is_paused_and_resumed(self) -> None:
        number = self.add()
        self.assertEqual(
            self.run_op("queue pause", domain="ELSE.example", reason="down"),
            {"domain": "else.example", "waiting": 1},
        )
        self.assertEqual(self.states(), {number: "paused"})
        self.assertEqual(
            self.run_op("queue paused"), [{"domain": "else.example", "at": NOW, "reason": "down"}]
        )
        self.assertEqual(self.run_op("queue stats")["paused"], ["else.example"])
        self.assertEqual(self.run_op("queue resume", domain="else.example")["waiting"], 1)
        self.assertEqual((self.states(), self.pokes), ({number: "due"}, [1]))
        self.refused(NoSuchThing, "queue resume", domain="else.example")

    def test_the_list_of_suppressed_addresses(self) -> None:
        self.db.write_now(lambda tx: queue_orders.suppress(tx, "bob@else.example", "gone", "a@b", NOW))
        number = self.add()
        self.assertEqual(self.run_op("queue show", id=number)["suppressed"], "gone")
        (row,) = self.run_op("queue suppressed list")
        self.assertEqual((row["address"], row["reason"]), ("bob@else.example", "gone"))
        self.run_op("queue suppressed remove", address="Bob@Else.example")
        self.assertEqual(self.run_op("queue suppressed list"), [])
        self.refused(NoSuchThing, "queue suppressed remove", address="bob@else.example")

    def test_figures(self) -> None:
        self.add()
        stats = self.run_op("queue stats")
        self.assertEqual((stats["states"], stats["domains"]), ({"due": 1}, {"else.example": 1}))
        self.assertEqual((stats["oldest"], stats["due_now"]), (NOW, 0))
