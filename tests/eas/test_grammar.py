"""Request grammars as data."""

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.grammar import MANY, Child, Rule, check, flag, number
from posthouse.eas.statuses import StatusError
from posthouse.wbxml.tags import AirSync, FolderHierarchy, Move
from posthouse.wbxml.tree import E, Element

RULE = Rule(
    {
        FolderHierarchy.SyncKey: Child(least=1, least_length=1, length=4, status=10),
        FolderHierarchy.Type: Child(kind="number", low=1, high=19),
        FolderHierarchy.Changes: Child(
            kind="container", most=MANY, rule=Rule({Move.SrcMsgId: Child(least=1)}, 7)
        ),
        AirSync.GetChanges: Child(kind="flag"),
        AirSync.Partial: Child(kind="empty"),
    },
    status=103,
)


class CheckTests(SynchronousTestCase):
    def status(self, *children: Element) -> int:
        try:
            check(E(FolderHierarchy.FolderSync, *children), RULE)
        except StatusError as error:
            return error.status
        return 0

    def test_what_fits_passes(self) -> None:
        key = E(FolderHierarchy.SyncKey, "a")
        self.assertEqual(self.status(key), 0)
        self.assertEqual(self.status(key, E(FolderHierarchy.Type, 19), E(AirSync.GetChanges)), 0)

    def test_each_violation_has_its_status(self) -> None:
        # Rule 17 of the sync model.
        key = E(FolderHierarchy.SyncKey, "a")
        self.assertEqual(self.status(), 10)
        self.assertEqual(self.status(E(FolderHierarchy.SyncKey)), 10)
        self.assertEqual(self.status(E(FolderHierarchy.SyncKey, "abcde")), 10)
        self.assertEqual(self.status(key, key), 10)
        self.assertEqual(self.status(key, E(FolderHierarchy.Type, "x")), 103)
        self.assertEqual(self.status(key, E(FolderHierarchy.Type, 20)), 103)
        self.assertEqual(self.status(key, E(FolderHierarchy.Type, E(AirSync.Add))), 103)
        self.assertEqual(self.status(key, E(AirSync.GetChanges, "2")), 103)
        self.assertEqual(self.status(key, E(AirSync.Partial, "text")), 103)
        self.assertEqual(self.status(key, E(FolderHierarchy.Changes)), 7)

    def test_what_is_not_known_is_noted(self) -> None:
        # Rule 17 of the sync model.
        request = E(
            FolderHierarchy.FolderSync,
            E(FolderHierarchy.SyncKey, "a"),
            E(AirSync.Add, E(AirSync.Wait)),
            E(AirSync.Add),
        )
        self.assertEqual(check(request, RULE), [AirSync.Add])

    def test_one_of_several_has_to_be_there(self) -> None:
        rule = Rule({AirSync.Add: Child(), AirSync.Wait: Child()}, 4, one_of=(AirSync.Add, AirSync.Wait))
        check(E(AirSync.Sync, E(AirSync.Wait)), rule)
        self.assertRaises(StatusError, check, E(AirSync.Sync), rule)


class ValueTests(SynchronousTestCase):
    def test_an_empty_flag_is_true(self) -> None:
        """MS-ASCMD R2161, R3127."""
        self.assertTrue(flag(E(AirSync.GetChanges)))
        self.assertFalse(flag(E(AirSync.GetChanges, 0)))
        self.assertTrue(flag(None, absent=True))
        self.assertFalse(flag(None))

    def test_a_number_has_bounds(self) -> None:
        self.assertEqual(number(E(AirSync.WindowSize, " 25 "), 0, 512), 25)
        for text in ("", "-1", "513", "1.5", "٣", "99999999999"):
            self.assertRaises(StatusError, number, E(AirSync.WindowSize, text), 0, 512)
