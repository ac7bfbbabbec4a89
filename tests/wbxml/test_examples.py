"""Documents of the specification and of real devices, hexadecimal beside readable text."""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.wbxml import E, decode, encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Contacts, Find, FolderHierarchy

#: Name to hexadecimal document and tree.
EXAMPLES = {
    "a contact from the server (MS-ASWBXML 3)": (
        """
        03 01 6A 00 45 5C 4F 50 03 43 6F 6E 74 61 63 74 73 00 01 4B 03 32 00 01 52 03 32 00 01 4E 03 31 00 01
        56 47 4D 03 32 3A 31 00 01 5D 00 11 4A 46 03 31 00 01 4C 03 30 00 01 4D 03 31 00 01 01 00 01 5E 03 46
        75 6E 6B 2C 20 44 6F 6E 00 01 5F 03 44 6F 6E 00 01 69 03 46 75 6E 6B 00 01 00 11 56 03 31 00 01 01 01
        01 01 01 01
        """,
        E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(
                    AirSync.Collection,
                    E(AirSync.Class, "Contacts"),
                    E(AirSync.SyncKey, "2"),
                    E(AirSync.CollectionId, "2"),
                    E(AirSync.Status, "1"),
                    E(
                        AirSync.Commands,
                        E(
                            AirSync.Add,
                            E(AirSync.ServerId, "2:1"),
                            E(
                                AirSync.ApplicationData,
                                E(
                                    AirSyncBase.Body,
                                    E(AirSyncBase.Type, "1"),
                                    E(AirSyncBase.EstimatedDataSize, "0"),
                                    E(AirSyncBase.Truncated, "1"),
                                ),
                                E(Contacts.FileAs, "Funk, Don"),
                                E(Contacts.FirstName, "Don"),
                                E(Contacts.LastName, "Funk"),
                                E(AirSyncBase.NativeBodyType, "1"),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
    "a device's first Sync of a folder": (
        """
        03 01 6A 00 45 5C 4F 4B 03 30 00 01 52 03 32 00 01 57 00 11 45 46 03 31 00 01 47 03 33 32 37 36 38 00
        01 01 01 01 01 01
        """,
        E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(
                    AirSync.Collection,
                    E(AirSync.SyncKey, "0"),
                    E(AirSync.CollectionId, "2"),
                    E(
                        AirSync.Options,
                        E(
                            AirSyncBase.BodyPreference,
                            E(AirSyncBase.Type, "1"),
                            E(AirSyncBase.TruncationSize, "32768"),
                        ),
                    ),
                ),
            ),
        ),
    ),
    "its answer": (
        "03016A00 45 5C 4F 4B 03 31393937343333303734 00 01 52 03 32 00 01 4E 03 31 00 01 01 01 01",
        E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(
                    AirSync.Collection,
                    E(AirSync.SyncKey, "1997433074"),
                    E(AirSync.CollectionId, "2"),
                    E(AirSync.Status, "1"),
                ),
            ),
        ),
    ),
    "the first FolderSync": (
        "03016A00 0007 56 52 03 30 00 01 01",
        E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, "0")),
    ),
    "a search of iOS 18": (
        b64decode(
            "AwFqAAAZRUYDNDJERDczMzYtNDE5Ri00RjY4LUJFQkMtOTU5ODJCRjY5ODk5AAFHSEkAAFADRW1haWwAAVIDZWY2YzEzYjAAAQAZ"
            "SwN0bzoiVGVzdCIgT1IgY2M6IlRlc3QiIE9SIGZyb206IlRlc3QiIE9SIHN1YmplY3Q6IlRlc3QiIE9SICJUZXN0IiBPUiAiVGVz"
            "dCIAAQFMTQMwLTk5AAEOAQEBAQ=="
        ).hex(),
        E(
            Find.Find,
            E(Find.SearchId, "42DD7336-419F-4F68-BEBC-95982BF69899"),
            E(
                Find.ExecuteSearch,
                E(
                    Find.MailBoxSearchCriterion,
                    E(
                        Find.Query,
                        E(AirSync.Class, "Email"),
                        E(AirSync.CollectionId, "ef6c13b0"),
                        E(
                            Find.FreeText,
                            'to:"Test" OR cc:"Test" OR from:"Test" OR subject:"Test" OR "Test" OR "Test"',
                        ),
                    ),
                    E(Find.Options, E(Find.Range, "0-99"), E(Find.DeepTraversal)),
                ),
            ),
        ),
    ),
}


class ExampleTests(SynchronousTestCase):
    def test_they_decode_to_their_trees(self) -> None:
        for name, (text, tree) in EXAMPLES.items():
            self.assertEqual(decode(bytes.fromhex(text)), tree, name)

    def test_the_trees_encode_to_the_same_bytes(self) -> None:
        for name, (text, tree) in EXAMPLES.items():
            self.assertEqual(encode(tree).hex(" "), bytes.fromhex(text).hex(" "), name)

    def test_every_truncation_is_malformed(self) -> None:
        for name, (text, _) in EXAMPLES.items():
            data = bytes.fromhex(text)
            for length in range(len(data)):
                with self.assertRaises(Malformed, msg=(name, length)):
                    decode(data[:length])
