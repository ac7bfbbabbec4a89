from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import PosthouseError
from posthouse.smtp.replies import AUTH_ERRORS, ERRORS, lines, reply, reply_to_error


def tree(kind: type[PosthouseError]) -> Iterator[type[PosthouseError]]:
    """The house's errors. Other rooms' own kinds, and this room's refusal with its reply, never come here."""
    if kind.__module__ == "posthouse.errors":
        yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


class ErrorTableTests(SynchronousTestCase):
    def test_every_shared_error_has_a_row(self) -> None:
        for kind in tree(PosthouseError):
            self.assertIn(kind, ERRORS, f"{kind.__name__} has no row in posthouse.smtp.replies.ERRORS")

    def test_temporary_errors_are_4xx_and_codes_agree(self) -> None:
        for table in (ERRORS, AUTH_ERRORS):
            for kind, (code, enhanced) in table.items():
                self.assertEqual(str(code)[0], enhanced[0], kind)
                if getattr(kind, "temporary", False):
                    self.assertEqual(code // 100, 4, f"{kind.__name__} is temporary")

    def test_every_error_gets_a_reply_with_its_public_sentence_only(self) -> None:
        for kind in tree(PosthouseError):
            answer = reply_to_error(kind("Public words.", cause="private cause"))
            assert answer is not None
            self.assertIn(b"Public words.", answer.wire)
            self.assertNotIn(b"private", answer.wire)

    def test_a_stranger_gets_none(self) -> None:
        self.assertIsNone(reply_to_error(ValueError("secret")))


class ReplyTests(SynchronousTestCase):
    def test_text_cannot_add_a_line(self) -> None:
        self.assertEqual(reply(550, "5.1.1", "a\r\n250 b\x00é").wire, b"550 5.1.1 a 250 b \r\n")

    def test_length_is_bounded(self) -> None:
        self.assertLess(len(reply(550, "5.1.1", "x" * 10000).wire), 512)

    def test_several_lines(self) -> None:
        self.assertEqual(lines(250, ["a", "b c", "d"]).wire, b"250-a\r\n250-b c\r\n250 d\r\n")
        self.assertEqual(lines(250, ["a"]).wire, b"250 a\r\n")
