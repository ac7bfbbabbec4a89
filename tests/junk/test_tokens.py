"""What is learned of a message: bounded, the same for ever, and marked with where it stood."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.junk.tokens import MAX_TOKENS, tokens


class TokenTests(SynchronousTestCase):
    def test_they_are_the_same_for_ever(self) -> None:
        # What was learned with one version is unlearned with the next.
        self.assertEqual(
            sorted(tokens("Hi", "a@b.example", "Free money")),
            [
                -9128643494065230445,
                -2324103648762544464,
                422278922246065557,
                942875077966656467,
                3552179853424852361,
            ],
        )
        self.assertEqual(tokens("Hi", "a@b.example", "Free money"), tokens("hI", "A@B.example", "FREE Money"))

    def test_where_a_word_stands_counts(self) -> None:
        self.assertFalse(
            set(tokens("money", "", "")) & (set(tokens("", "", "money")) - set(tokens("", "", "")))
        )

    def test_hosts_of_links_are_known_with_their_domain(self) -> None:
        one = set(tokens("", "", "see https://a.evil.example/x?y"))
        two = set(tokens("", "", "look http://b.EVIL.example:80/"))
        self.assertTrue(
            (one & two)
            - set(tokens("", "", ""))
            - set(tokens("", "", "see look a b evil example http https"))
        )

    def test_senders_share_their_domain(self) -> None:
        shared = set(tokens("", "a@x.shop.example", "")) & set(tokens("", "b@y.shop.example", ""))
        self.assertEqual(len(shared), 1)

    def test_what_stands_in_front_leaves_room_for_the_text(self) -> None:
        text = " ".join(f"cheap{number}" for number in range(100))
        plain = set(tokens("", "", text)) - set(tokens("", "", ""))
        subject = " ".join(f"w{number}" for number in range(500))
        self.assertLessEqual(plain, set(tokens(subject, "a@" + "b." * 120 + "example", text)))

    def test_scripts_without_blanks_have_words_too(self) -> None:
        one, two = (
            set(tokens("", "", "\u8bf7\u7acb\u5373\u4ed8\u6b3e")),
            set(tokens("", "", "\u7acb\u5373\u4ed8\u6b3e\u5427")),
        )
        self.assertGreaterEqual(len(one & two), 3)

    @settings(max_examples=50, deadline=None)
    @given(st.text(max_size=3000), st.text(max_size=50), st.text(max_size=50))
    def test_any_text_gives_bounded_numbers(self, text: str, subject: str, sender: str) -> None:
        found = tokens(subject, sender, text * 3, ("attachment",))
        self.assertLessEqual(len(found), MAX_TOKENS)
        self.assertEqual(len(found), len(set(found)))
        self.assertTrue(all(-(1 << 63) <= one < 1 << 63 for one in found))
