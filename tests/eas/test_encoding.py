"""Trees in slices give the same bytes as at one go."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas import encoding
from posthouse.eas.encoding import decode_body, encode_answer
from posthouse.errors import Malformed, TooLarge
from posthouse.wbxml.decode import Limits, decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email
from posthouse.wbxml.tree import E, Element
from tests.eas.room import Room, result

ROOM = Room()

LEAVES = st.builds(
    Element,
    st.sampled_from([Email.Subject, AirSyncBase.Data, AirSync.Status]),
    st.one_of(st.none(), st.text(alphabet="aé\n", max_size=5), st.binary(min_size=1, max_size=5)),
)
TREES = st.recursive(
    LEAVES,
    lambda inside: st.builds(
        lambda tag, children: E(tag, children),
        st.sampled_from([AirSync.Add, AirSync.Commands, AirSyncBase.Body]),
        st.lists(inside, max_size=4),
    ),
    max_leaves=30,
)


class EncodingTests(SynchronousTestCase):
    @settings(max_examples=80, deadline=None)
    @given(TREES)
    def test_slices_change_nothing(self, tree: Element) -> None:
        root = E(AirSync.Sync, tree)
        call = ROOM.call()
        before = encoding._PIECE
        encoding._PIECE = 2
        try:
            # What is encoded in pieces may have other token runs, but it is the same document.
            self.assertEqual(decode(result(encode_answer(call, root))), decode(encode(root)))
        finally:
            encoding._PIECE = before

    def test_a_wide_answer(self) -> None:
        adds = [
            E(AirSync.Add, E(AirSync.ServerId, number), E(AirSync.ApplicationData)) for number in range(200)
        ]
        root = E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, E(AirSync.Commands, adds))))
        self.assertEqual(result(encode_answer(ROOM.call(), root)), encode(root))

    def test_a_long_content(self) -> None:
        root = E(AirSync.Sync, E(AirSyncBase.Body, E(AirSyncBase.Data, "é" * 1_000_000)))
        self.assertEqual(result(encode_answer(ROOM.call(), root)), encode(root))

    def test_a_long_request_is_decoded_in_slices(self) -> None:
        root = E(AirSync.Sync, [E(AirSync.Add, E(AirSync.ServerId, "x")) for _ in range(10_000)])
        document = result(decode_body(ROOM.call(), encode(root), Limits()))
        self.assertEqual(document.root, root)
        self.refused(TooLarge, encode(root), Limits(max_tokens=1000))
        self.refused(Malformed, encode(root)[:-1], Limits())

    def refused(self, error: type[Exception], data: bytes, limits: Limits) -> None:
        self.assertRaises(error, lambda: result(decode_body(ROOM.call(), data, limits)))


class BreathingTests(SynchronousTestCase):
    def test_a_call_pauses_after_its_slice_and_not_before(self) -> None:
        room = Room()
        clock = room.clock
        call = room.call()
        steps: list[float] = []

        async def work() -> None:
            for _ in range(4):
                clock.rightNow += 0.003
                await call.breathe()
                steps.append(clock.seconds())

        Deferred.fromCoroutine(work())
        self.assertEqual(len(steps), 2)
        clock.advance(0)
        self.assertEqual(len(steps), 4)
