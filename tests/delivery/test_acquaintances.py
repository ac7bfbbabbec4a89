"""Who is written to becomes an acquaintance, by each way that mail leaves; who only reads of it does not."""

from __future__ import annotations

from posthouse.delivery.acquaintances import people_of
from posthouse.model import FolderType
from posthouse.store.acquaintances import AcquaintanceFeed, acquaintances
from posthouse.store.folders import folder_of_type
from tests.delivery.house import HouseCase

MAIL = (
    b"From: Ann <ann@here.example>\r\nTo: =?utf-8?q?B=C3=B6b?= <bob@here.example>, far@there.example\r\n"
    b"Cc: nobody@else.example\r\nMessage-ID: <9@here.example>\r\n\r\nHello\r\n"
)


class AcquaintanceCase(HouseCase):
    def known(self, mailbox_id: int) -> dict[str, tuple[str, str]]:
        def read(tx):  # type: ignore[no-untyped-def]
            place = folder_of_type(tx, mailbox_id, FolderType.RECIPIENT_CACHE)
            marks = AcquaintanceFeed(tx, mailbox_id, place.id).added(0, 500)
            found = acquaintances(tx, place.id, [mark.number for mark in marks])
            return {one.address: (one.name, one.alias) for one in found.values()}

        return self.db.read_now(read)  # type: ignore[no-any-return]

    def test_a_submission_over_smtp_notes_the_recipients_of_the_envelope(self) -> None:
        envelope = self.envelope(
            "ann@here.example",
            "bob@here.example",
            "far@there.example",
            "secret@there.example",
            account=self.ann,
        )
        self.successResultOf(self.intake.accept(envelope, self.spooled(MAIL)))
        self.assertEqual(
            self.known(self.ann.mailbox_id),
            {
                # The name in the header wins over the directory's.
                "bob@here.example": ("Böb", "bob"),
                "far@there.example": ("", ""),
                "secret@there.example": ("", ""),
            },
        )
        self.assertEqual(self.known(self.bob.mailbox_id), {})

    def test_a_repeat_of_the_same_submission_counts_once(self) -> None:
        for _ in range(2):
            envelope = self.envelope("ann@here.example", "far@there.example", account=self.ann)
            self.successResultOf(self.intake.accept(envelope, self.spooled(MAIL)))
        scores = self.db.read_now(lambda tx: tx.execute("SELECT rank, score FROM acquaintance"))
        self.assertEqual(scores, [(self.now(), self.now())])

    def test_mail_of_strangers_notes_nobody(self) -> None:
        envelope = self.envelope("x@there.example", "ann@here.example", "bob@here.example")
        self.successResultOf(self.intake.accept(envelope, self.spooled(MAIL)))
        self.assertEqual(self.known(self.ann.mailbox_id), {})

    def test_composed_mail_notes_to_cc_and_bcc(self) -> None:
        mail = MAIL.replace(b"\r\n\r\n", b"\r\nBcc: quiet@there.example\r\n\r\n", 1)
        self.successResultOf(self.submission.submit(self.ann, mail, True))
        self.assertEqual(
            set(self.known(self.ann.mailbox_id)),
            {"bob@here.example", "far@there.example", "nobody@else.example", "quiet@there.example"},
        )

    def test_nobody_is_there_whom_the_transaction_lost(self) -> None:
        def refuse(tx: object) -> None:
            raise ValueError("the caller's own work fails")

        failure = self.failureResultOf(self.submission.submit(self.ann, MAIL, True, refuse))
        self.assertTrue(failure.check(ValueError))
        self.assertEqual(self.known(self.ann.mailbox_id), {})

    def test_a_name_that_is_the_address_is_no_name(self) -> None:
        fields = [("to", b'"Far@There.example" <far@there.example>, Nearby <near@there.example>')]
        self.assertEqual(
            people_of(fields, ["far@there.example", "FAR@there.example", "near@there.example"]),
            (
                ("far@there.example", "FAR@there.example", ""),
                ("near@there.example", "near@there.example", "Nearby"),
            ),
        )
