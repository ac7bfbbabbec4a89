"""The filter's arithmetic: sure when words are, silent when they are not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.junk.bayes import Learned, probability

LEARNED = Learned(40, 60)


class ProbabilityTests(SynchronousTestCase):
    def test_words_of_junk_are_junk_and_words_of_good_mail_are_not(self) -> None:
        junk = dict.fromkeys(range(15), (20, 0))
        good = dict.fromkeys(range(15), (0, 30))
        self.assertGreater(probability(range(15), junk, LEARNED), 0.999)
        self.assertLess(probability(range(15), good, LEARNED), 0.001)

    def test_what_stands_in_both_says_nothing(self) -> None:
        self.assertEqual(probability(range(50), dict.fromkeys(range(50), (20, 30)), LEARNED), 0.5)
        self.assertEqual(probability(range(50), {}, LEARNED), 0.5)
        self.assertEqual(probability((), {}, Learned()), 0.5)

    def test_words_of_both_kinds_leave_it_open(self) -> None:
        known = {word: (20, 0) if word % 2 else (0, 30) for word in range(20)}
        self.assertTrue(0.2 < probability(range(20), known, LEARNED) < 0.8)

    def test_one_sighting_is_no_proof(self) -> None:
        self.assertTrue(0.5 < probability([1], {1: (1, 0)}, LEARNED) < 0.9)

    def test_frequency_counts_not_the_number_of_messages(self) -> None:
        # Half of all junk and half of all good mail has it.
        self.assertEqual(probability([1], {1: (500, 5)}, Learned(1000, 10)), 0.5)

    @settings(max_examples=80, deadline=None)
    @given(
        st.dictionaries(
            st.integers(-(1 << 63), (1 << 63) - 1), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))
        ),
        st.integers(0, 10**5),
        st.integers(0, 10**5),
    )
    def test_it_is_always_a_probability(
        self, known: dict[int, tuple[int, int]], junk: int, good: int
    ) -> None:
        self.assertTrue(0.0 <= probability(list(known), known, Learned(junk, good)) <= 1.0)
