"""Our bytes and trees against libwbxml, an independent implementation."""

from __future__ import annotations

import os
import shutil
import subprocess
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml import E, Element, decode, decode_document, encode
from posthouse.wbxml.pages import PAGES
from posthouse.wbxml.tags import (
    AirSync,
    AirSyncBase,
    Calendar,
    ComposeMail,
    Email,
    Email2,
    FolderHierarchy,
    GetItemEstimate,
    ItemOperations,
    MeetingResponse,
    Move,
    Ping,
    Provision,
    ResolveRecipients,
    Search,
    Settings,
)
from tests.wbxml import libwbxml


def known(number: int) -> list[str]:
    """The tags of a page that libwbxml knows too."""
    return [tag for tag in PAGES[number].tags.values() if tag not in libwbxml.UNKNOWN]


def leaf(tag: str, text: str) -> Element:
    return E(tag, text.encode() if tag in libwbxml.BINARY else text)


def documents() -> dict[str, Element]:
    """Documents by name: each page as a whole, all pages mixed, and one of each command's kind."""
    found: dict[str, Element] = {}
    for page in PAGES:
        tags = known(page.number)
        if tags:
            found[f"{page.namespace}, every tag"] = E(tags[0], [leaf(tag, f"text of {tag}") for tag in tags])
            found[f"{page.namespace}, every tag empty"] = E(tags[0], [E(tag) for tag in tags])
    everything = [tag for page in PAGES for tag in known(page.number)]
    # Neighbours come from different pages, so that each element switches.
    found["all pages in turn"] = E(
        AirSync.Sync, [leaf(tag, tag) for tag in sorted(everything, key=lambda tag: tag[::-1])]
    )
    deep = E(everything[-1], "bottom")
    for tag in everything[:40]:
        deep = E(tag, deep)
    found["deep"] = deep
    found["text in many scripts"] = E(
        AirSync.Sync,
        E(Email.Subject, "Grüße, ελληνικά, 日本語, \U0001f4e8 & <tag> ]]> \"quoted\" 'single'"),
        E(Email.To, "\u2028\u00a0x"),
        E(Email.From, "tab\tand\nnewline"),
    )
    found["long text"] = E(AirSync.Sync, E(AirSyncBase.Data, "<p>äöü</p>" * 30_000))
    found["binary"] = E(AirSync.Sync, E(Email2.ConversationId, bytes(range(256))))
    found["sync"] = E(
        AirSync.Sync,
        E(
            AirSync.Collections,
            E(
                AirSync.Collection,
                E(AirSync.SyncKey, "17"),
                E(AirSync.CollectionId, "5"),
                E(AirSync.Status, 1),
                E(AirSync.MoreAvailable),
                E(
                    AirSync.Commands,
                    [
                        E(
                            AirSync.Add,
                            E(AirSync.ServerId, f"5:{number}"),
                            E(
                                AirSync.ApplicationData,
                                E(Email.Subject, f"Mail {number}"),
                                E(Email.Flag, E(Email.Status, 2), E(Email.FlagType, "for Follow Up")),
                                E(AirSyncBase.Body, E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "Hello\n")),
                                E(Email2.ConversationIndex, b"\x01\x02\x03\x00\xff"),
                                E(Email.MeetingRequest, E(Email.DtStamp, "20261005T074512Z")),
                                E(Calendar.Recurrence, E(Calendar.Type, 1), E(Calendar.DayOfWeek, 2)),
                            ),
                        )
                        for number in range(20)
                    ],
                ),
            ),
        ),
    )
    found["folder sync"] = E(
        FolderHierarchy.FolderSync,
        E(FolderHierarchy.Status, 1),
        E(FolderHierarchy.SyncKey, "1"),
        E(
            FolderHierarchy.Changes,
            E(FolderHierarchy.Count, 1),
            E(
                FolderHierarchy.Add,
                E(FolderHierarchy.ServerId, "5"),
                E(FolderHierarchy.ParentId, "0"),
                E(FolderHierarchy.DisplayName, "Inbox"),
                E(FolderHierarchy.Type, 2),
            ),
        ),
    )
    found["provision"] = E(
        Provision.Provision,
        E(
            Settings.DeviceInformation,
            E(Settings.Set, E(Settings.Model, "iPhone"), E(Settings.OS, "iOS 18.4")),
        ),
        E(
            Provision.Policies,
            E(
                Provision.Policy,
                E(Provision.PolicyType, "MS-EAS-Provisioning-WBXML"),
                E(Provision.PolicyKey, "1307199584"),
                E(Provision.Data, E(Provision.EASProvisionDoc, E(Provision.DevicePasswordEnabled, 0))),
            ),
        ),
    )
    found["send mail"] = E(
        ComposeMail.SendMail,
        E(ComposeMail.ClientId, "1"),
        E(ComposeMail.SaveInSentItems),
        E(ComposeMail.Mime, b"From: a@example.org\r\nTo: b@example.org\r\n\r\nHello\x00\x80\r\n"),
    )
    found["ping"] = E(
        Ping.Ping,
        E(Ping.HeartbeatInterval, 480),
        E(Ping.Folders, E(Ping.Folder, E(Ping.Id, "5"), E(Ping.Class, "Email"))),
    )
    found["search"] = E(
        Search.Search,
        E(
            Search.Store,
            E(Search.Name, "Mailbox"),
            E(Search.Query, E(Search.And, E(AirSync.Class, "Email"), E(Search.FreeText, "order"))),
            E(Search.Options, E(Search.RebuildResults), E(Search.Range, "0-99")),
        ),
    )
    found["item operations"] = E(
        ItemOperations.ItemOperations,
        E(
            ItemOperations.Fetch,
            E(ItemOperations.Store, "Mailbox"),
            E(AirSync.CollectionId, "5"),
            E(AirSyncBase.FileReference, "5:1:0"),
        ),
    )
    found["move"] = E(
        Move.MoveItems,
        E(Move.Move, E(Move.SrcMsgId, "5:1"), E(Move.SrcFldId, "5"), E(Move.DstFldId, "6")),
    )
    found["estimate"] = E(
        GetItemEstimate.GetItemEstimate,
        E(
            GetItemEstimate.Collections,
            E(GetItemEstimate.Collection, E(AirSync.SyncKey, "2"), E(GetItemEstimate.CollectionId, "5")),
        ),
    )
    found["meeting response"] = E(
        MeetingResponse.MeetingResponse,
        E(
            MeetingResponse.Request,
            E(MeetingResponse.UserResponse, 1),
            E(MeetingResponse.CollectionId, "5"),
            E(MeetingResponse.RequestId, "5:1"),
        ),
    )
    found["resolve recipients"] = E(
        ResolveRecipients.ResolveRecipients,
        E(ResolveRecipients.To, "ada"),
        E(ResolveRecipients.Options, E(ResolveRecipients.MaxAmbiguousRecipients, 5)),
    )
    return found


class LibwbxmlTests(SynchronousTestCase):
    """libwbxml reads what we write, and we read what libwbxml writes."""

    def convert(self, program: str, data: bytes, *options: str) -> bytes:
        found = shutil.which(program)
        if found is None:
            raise SkipTest(f"{program} (Debian: libwbxml2-utils) is not installed")
        directory = self.mktemp()
        os.mkdir(directory)
        source, target = os.path.join(directory, "in"), os.path.join(directory, "out")
        with open(source, "wb") as file:
            file.write(data)
        run = subprocess.run([found, *options, "-o", target, source], capture_output=True, text=True)
        if run.returncode or not os.path.exists(target):
            self.fail(f"{program}: {run.stdout}{run.stderr}")
        with open(target, "rb") as file:
            return file.read()

    def test_it_reads_what_we_write(self) -> None:
        for name, tree in documents().items():
            xml = self.convert("wbxml2xml", encode(tree), "-l", "ACTIVESYNC", "-m", "0", "-k")
            self.assertEqual(libwbxml.read_xml(xml), tree, name)

    def test_we_read_what_it_writes(self) -> None:
        for name, tree in documents().items():
            data = self.convert("xml2wbxml", libwbxml.write_xml(tree), "-k", "-n")
            self.assertEqual(decode(data), tree, name)

    def test_we_read_its_string_tables_and_other_versions(self) -> None:
        for name, tree in documents().items():
            for version in ("1.1", "1.2", "1.3"):
                data = self.convert("xml2wbxml", libwbxml.write_xml(tree), "-k", "-v", version)
                document = decode_document(data)
                self.assertEqual(document.root, tree, name)
                self.assertEqual(f"1.{document.version[1]}", version)
                self.assertEqual(document.skipped, ())

    def test_both_write_the_same_bytes(self) -> None:
        for name, tree in documents().items():
            data = self.convert("xml2wbxml", libwbxml.write_xml(tree), "-k", "-n", "-a")
            self.assertEqual(encode(tree), data, name)

    def test_every_tag_it_knows_is_in_some_document(self) -> None:
        tags = {element.tag for tree in documents().values() for element in tree.iter()}
        self.assertEqual(tags | libwbxml.UNKNOWN, {tag for page in PAGES for tag in page.tags.values()})
        self.assertEqual(tags & libwbxml.UNKNOWN, set())
