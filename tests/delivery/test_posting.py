"""Mail to groups: who may write, what the copies look like, where bounces go, and that nothing goes in circles."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.delivery.posting import list_head, list_id, without_junk
from posthouse.errors import LoopDetected, NotPermitted
from posthouse.mime.headers import parse_headers
from posthouse.model import FolderType, MailGroup, Recipient, evolve
from posthouse.store import accounts, domains, folders, groups, preferences, senders
from tests.delivery.house import PLAIN, HouseCase
from tests.support.store import NOW

FAR = (
    b"From: Far <far@there.example>\r\nTo: team@here.example\r\nSubject: Hi\r\n"
    b"Message-ID: <f@there.example>\r\n\r\nx\r\n"
)


def head_of(group: MailGroup, message: bytes = PLAIN) -> dict[str, str]:
    lines = list_head(group, parse_headers(message))
    return {name: value.decode() for name, value in parse_headers(lines + b"\r\n")}


class HeadTests(HouseCase):
    def test_the_copies_say_where_they_come_from(self) -> None:
        self.assertEqual(
            head_of(MailGroup("team@here.example", "The Team", owner="ann@here.example")),
            {
                "list-id": "The Team <team.here.example>",
                "list-post": "<mailto:team@here.example>",
                "list-owner": "<mailto:team-owner@here.example>",
                "precedence": "list",
            },
        )
        for nothing in ("", " "):
            self.assertEqual(
                head_of(MailGroup("team@here.example", nothing))["list-id"], "<team.here.example>"
            )
        self.assertEqual(
            head_of(MailGroup("t@here.example", "Käse"))["list-id"], "=?utf-8?q?K=C3=A4se?= <t.here.example>"
        )

    def test_another_lists_fields_stay_alone(self) -> None:
        theirs = b"List-Id: <other.example>\r\nPrecedence: bulk\r\n\r\n"
        self.assertEqual(head_of(MailGroup("team@here.example"), theirs), {})

    def test_what_was_here_before_is_a_loop(self) -> None:
        for line in (
            b"List-Id: <team.here.example>",
            b'List-Id: "T" <TEAM.here.example>',
            b"List-ID: team.here.example",
        ):
            self.assertRaises(LoopDetected, head_of, MailGroup("team@here.example"), line + b"\r\n\r\n")

    @settings(max_examples=60)
    @given(st.text(max_size=40), st.from_regex(r"[a-z0-9!#+/=?_äß.-]{1,20}", fullmatch=True))
    def test_no_name_breaks_out_of_its_line(self, name: str, local: str) -> None:
        group = MailGroup(f"{local}@here.example", name)
        found = head_of(group)
        self.assertEqual(set(found), {"list-id", "list-post", "list-owner", "precedence"})
        self.assertTrue(found["list-id"].endswith(f"<{list_id(group)}>"), found["list-id"])
        self.assertTrue(found["list-post"].isascii())


class GroupTests(HouseCase):
    def group(self, *members: str, **fields: Any) -> None:
        group = MailGroup("crew@here.example", **{"name": "Crew", **fields})
        self.db.write_now(lambda tx: groups.add_group(tx, group, members, NOW))
        self.directory.forget()

    def asked(self, sender: str, account: Any = None, address: str = "crew@here.example") -> Recipient:
        found: Recipient = self.successResultOf(self.intake.check_recipient(address, account, sender))
        return found

    def refused(self, sender: str, account: Any = None, address: str = "crew@here.example") -> None:
        self.failureResultOf(self.intake.check_recipient(address, account, sender), NotPermitted)

    def test_every_member_gets_a_copy_under_the_owners_name(self) -> None:
        self.group(
            "ann@here.example",
            "bob@here.example",
            "x@there.example",
            "y@else.example",
            owner="bob@here.example",
        )
        self.accept(FAR, "far@there.example", "crew@here.example")
        for account in (self.ann, self.bob):
            (item,) = self.items(account)
            self.assertIn(b"Return-Path: <crew-owner@here.example>\r\n", item.trace)
            self.assertIn(b"List-Id: Crew <crew.here.example>\r\n", item.trace)
            self.assertIn(b"Precedence: list\r\n", item.trace)
        rows = self.queue()
        self.assertEqual({row.recipient for row in rows}, {"x@there.example", "y@else.example"})
        for row in rows:
            self.assertEqual((row.sender, row.account_id), ("crew-owner@here.example", None))
            self.assertIn(b"Delivered-To: crew@here.example\r\n", row.trace)
            self.assertIn(b"List-Post: <mailto:crew@here.example>\r\n", row.trace)

    def test_a_members_bounce_reaches_the_owner_alone(self) -> None:
        self.group("ann@here.example", "x@there.example", owner="bob@here.example")
        report = b"From: <>\r\nSubject: no\r\nMessage-ID: <b@there.example>\r\n\r\nno\r\n"
        self.accept(report, "", "crew-owner@here.example")
        # So does one that somebody sends to the group itself, as when a user wrote in its name.
        routed = self.asked("")
        self.assertEqual(
            (routed.mailbox_ids, routed.remote, routed.group), ((self.bob.mailbox_id,), (), None)
        )
        self.assertEqual((len(self.items(self.bob)), self.items(self.ann)), (1, []))

    def test_members_only(self) -> None:
        self.group("ann@here.example", "x@there.example", posting="members", owner="bob@here.example")
        self.asked("ann@here.example", self.ann)
        self.asked("bob@here.example", self.bob)  # its owner
        self.asked("X@There.example")
        self.refused("far@there.example")
        # One of ours who did not log in may be anybody.
        self.refused("ann@here.example")
        self.refused("bob@here.example")
        self.db.write_now(lambda tx: groups.set_group(tx, MailGroup("crew@here.example", posting="members")))
        self.directory.forget()
        self.refused("bob@here.example", self.bob)

    def test_listed_senders_and_domains(self) -> None:
        posters = frozenset(("far@there.example", "@else.example", "bob@here.example"))
        self.group("ann@here.example", posting="listed", posters=posters)
        for sender in ("far@there.example", "any@else.example"):
            self.asked(sender)
        self.asked("bob@here.example", self.bob)
        self.refused("ann@here.example", self.ann)
        self.refused("x@there.example")
        self.refused("x@sub.else.example")

    def test_a_guarded_group_within_an_alias_stays_guarded(self) -> None:
        self.group("ann@here.example", posting="members")
        self.db.write_now(
            lambda tx: accounts.add_alias(
                tx, "all@here.example", ["crew@here.example", "bob@here.example"], NOW
            )
        )
        self.refused("far@there.example", address="all@here.example")
        self.asked("ann@here.example", self.ann, "all@here.example")

    def test_who_shares_an_alias_with_a_group_is_no_member(self) -> None:
        self.group("ann@here.example", "far@there.example", posting="members")
        self.db.write_now(
            lambda tx: accounts.add_alias(
                tx, "mix@here.example", ["crew@here.example", "bob@here.example", "x@there.example"], NOW
            )
        )
        for sender, account in (("bob@here.example", self.bob), ("x@there.example", None)):
            self.refused(sender, account, "mix@here.example")
        self.asked("ann@here.example", self.ann, "mix@here.example")
        self.asked("far@there.example", None, "mix@here.example")

    def test_from_must_be_allowed_as_well(self) -> None:
        self.group("ann@here.example", "far@there.example", posting="members")
        for data in (
            FAR.replace(b"Far <far@there.example>", b"x@evil.example"),
            FAR.replace(b"Far <far@there.example>", b"ann@here.example"),
            FAR.replace(b"From:", b"X-From:"),
            FAR.replace(b"From:", b"Sender: x@evil.example\r\nFrom:"),
        ):
            routed = self.asked("far@there.example")
            envelope = evolve(self.envelope("far@there.example"), recipients=(routed,))
            self.failureResultOf(self.intake.accept(envelope, self.spooled(data)), NotPermitted)
        self.accept(FAR, "far@there.example", "crew@here.example")
        self.assertEqual(len(self.items(self.ann)), 1)

    def test_what_comes_back_is_refused(self) -> None:
        self.group("ann@here.example", "x@there.example")
        self.accept(FAR, "far@there.example", "crew@here.example")
        (row,) = self.queue()
        back = row.trace + FAR.replace(b"<f@", b"<g@")
        for data in (back, back.replace(b"Delivered-To", b"X-Delivered-To")):
            envelope = self.envelope("x@there.example", "crew@here.example")
            self.failureResultOf(self.intake.accept(envelope, self.spooled(data)), LoopDetected)

    def test_a_list_is_where_a_message_has_arrived(self) -> None:
        # RFC 3461 5.2.7.1
        self.group("bob@here.example", "x@there.example")
        envelope = self.envelope(
            "ann@here.example", "crew@here.example", account=self.ann, envid="E1", ret="FULL"
        )
        (one,) = envelope.recipients
        envelope = evolve(envelope, recipients=(evolve(one, notify="SUCCESS,FAILURE", orcpt="rfc822;crew"),))
        self.successResultOf(self.intake.accept(envelope, self.spooled(PLAIN)))
        (row,) = self.queue()
        self.assertEqual((row.notify, row.orcpt, row.envid, row.ret), ("", "", "", ""))
        (report,) = self.items(self.ann)
        self.assertIn(b"Action: delivered", self.body(report))

    def test_phones_write_to_groups_and_hear_when_they_may_not(self) -> None:
        self.group("bob@here.example", posting="members")
        self.submit(PLAIN.replace(b"bob@", b"crew@"))
        self.assertIn(b"Status: 5.7.1", self.body(self.items(self.ann)[0]))
        self.submit(PLAIN.replace(b"bob@", b"crew@").replace(b"ann@here", b"bob@here"), account=self.bob)
        (item,) = self.items(self.bob)
        self.assertIn(b"List-Id: Crew <crew.here.example>", item.trace)

    def test_a_phone_hears_of_a_loop(self) -> None:
        self.group("bob@here.example")
        self.submit(b"List-Id: <crew.here.example>\r\n" + PLAIN.replace(b"bob@", b"crew@"))
        self.assertIn(b"Status: 5.4.6", self.body(self.items(self.ann)[0]))
        self.assertEqual(self.items(self.bob), [])

    def test_writing_as_the_group_needs_a_grant(self) -> None:
        self.group("ann@here.example", "bob@here.example")
        data = PLAIN.replace(b"From: Ann <ann@here.example>", b"From: crew@here.example")
        self.failureResultOf(self.intake.check_sender("crew@here.example", self.ann), NotPermitted)
        self.failureResultOf(self.submission.submit(self.ann, data, True), NotPermitted)
        self.db.write_now(lambda tx: senders.add_grant(tx, self.ann.id, "crew@here.example", NOW))
        self.directory.forget()
        self.successResultOf(self.intake.check_sender("crew@here.example", self.ann))
        self.submit(data)
        self.accept(data.replace(b"<1@", b"<2@"), "crew@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items(self.bob)), 2)
        self.failureResultOf(self.intake.check_sender("crew@here.example", self.bob), NotPermitted)

    def test_a_granted_domain_is_all_of_it(self) -> None:
        self.db.write_now(lambda tx: senders.add_grant(tx, self.ann.id, "@here.example", NOW))
        self.successResultOf(self.intake.check_sender("anything@here.example", self.ann))
        self.failureResultOf(self.intake.check_sender("x@there.example", self.ann), NotPermitted)


class OtherWaysTests(HouseCase):
    def test_junk_is_not_sent_on(self) -> None:
        group = MailGroup("crew@here.example")
        forwards = Recipient("bob@here.example", (), ("b@else.example",), staying=(2,))
        listed = Recipient("crew@here.example", (1,), ("x@there.example",), groups=(group,), group=group)
        self.assertEqual((without_junk(forwards).mailbox_ids, without_junk(forwards).remote), ((2,), ()))
        self.assertEqual((without_junk(listed).mailbox_ids, without_junk(listed).remote), ((1,), ()))
        # Where nobody here could look for it, nothing is lost.
        away = Recipient("away@here.example", (), ("far@there.example",))
        self.assertEqual(without_junk(away), away)

    def test_the_catch_all_owner_answers_as_nobody_else(self) -> None:
        self.db.write_now(lambda tx: domains.set_catch_all(tx, "here.example", "ann@here.example"))
        self.successResultOf(self.intake.check_sender("shop123@here.example", self.ann))
        for address in ("bob@here.example", "bob+x@here.example", "postmaster@here.example"):
            self.failureResultOf(self.intake.check_sender(address, self.ann), NotPermitted)
        self.failureResultOf(self.intake.check_sender("shop123@here.example", self.bob), NotPermitted)
        self.accept(FAR, "far@there.example", "shop123@here.example")
        self.assertEqual(len(self.items(self.ann)), 1)

    def test_a_plus_address_fills_its_folder(self) -> None:
        def prepare(tx: Any) -> Any:
            preferences.set_plus_folders(tx, self.ann.id, True)
            return folders.create_folder(tx, self.ann.mailbox_id, 0, "Shop", FolderType.USER_MAIL, NOW)

        shop = self.db.write_now(prepare)
        self.accept(FAR, "far@there.example", "ann+shop@here.example")
        self.assertEqual((len(self.items_in(shop)), self.items(self.ann)), (1, []))

    def test_forwarding_keeps_a_copy_and_rewrites_the_sender(self) -> None:
        self.db.write_now(lambda tx: preferences.set_forwarding(tx, self.bob.id, ["b@else.example"], True))
        self.accept(FAR, "far@there.example", "bob@here.example")
        (row,) = self.queue()
        self.assertEqual(len(self.items(self.bob)), 1)
        self.assertTrue(row.sender.startswith("SRS0=") and row.sender.endswith("@here.example"), row.sender)
        back = row.trace + FAR.replace(b"<f@", b"<g@")
        envelope = self.envelope("b@else.example", "bob@here.example")
        self.failureResultOf(self.intake.accept(envelope, self.spooled(back)), LoopDetected)

    def test_without_a_copy_a_colleagues_mail_goes_on_under_his_name(self) -> None:
        self.db.write_now(lambda tx: preferences.set_forwarding(tx, self.bob.id, ["b@else.example"], False))
        self.accept(PLAIN, "ann@here.example", "bob@here.example", account=self.ann)
        (row,) = self.queue()
        self.assertEqual((row.sender, self.items(self.bob)), ("ann@here.example", []))
