"""Operations on people, queue and devices, on a real store without threads."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.admin.operations import OPERATIONS, Ports, run
from posthouse.auth.passwords import app_password_digest, hash_password, verify
from posthouse.errors import (
    Conflict,
    Exists,
    Malformed,
    NoSuchAccount,
    NoSuchThing,
    NotPermitted,
    PosthouseError,
)
from posthouse.store import accounts, bodies, devices, outbox
from posthouse.store.inline import InlineDatabase

NOW = 1_790_000_000_000


class OperationsCase(SynchronousTestCase):
    """A house with one domain."""

    def setUp(self) -> None:
        self.db = InlineDatabase().open()
        self.addCleanup(self.db.close)
        self.turned_out: list[tuple[int, int]] = []
        self.pokes: list[int] = []
        self.ports = Ports(
            db=self.db,
            now=lambda: NOW,
            random=lambda count: bytes(range(count)),
            hash_password=lambda password: succeed(hash_password(password, 4)),
            forget=lambda account, mailbox: self.turned_out.append((account, mailbox)),
            run_queue=lambda: self.pokes.append(1),
        )
        self.run_op("domain add", domain="example.org")

    def run_op(self, name: str, /, **arguments: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(run(self.ports, name, arguments)))

    def refused(self, kind: type[PosthouseError], name: str, /, **arguments: Any) -> str:
        deferred = Deferred.fromCoroutine(run(self.ports, name, arguments))
        return str(self.failureResultOf(deferred, kind).value.public)

    def user(self, address: str = "ann@example.org") -> Any:
        self.run_op("user add", address=address, password="correct horse")
        return self.db.read_now(lambda tx: accounts.account_by_address(tx, address))


class PeopleTests(OperationsCase):
    def test_a_made_password_is_shown_once_and_fits(self) -> None:
        made = self.run_op("user add", address="Ann@Example.ORG", name="Ann", admin=True)
        self.assertEqual((made["address"], made["name"], made["admin"]), ("ann@example.org", "Ann", True))
        self.assertRegex(made["password"], r"^[a-z2-9]{5}(-[a-z2-9]{5}){3}$")
        account = self.db.read_now(lambda tx: accounts.account_by_address(tx, "ann@example.org"))
        stored = self.db.read_now(lambda tx: accounts.password_hash(tx, account.id))
        self.assertTrue(verify(made["password"].encode(), stored))
        self.assertNotIn("password", self.run_op("user list")[0])

    def test_a_given_password_is_not_shown_again(self) -> None:
        self.assertNotIn("password", self.run_op("user add", address="a@example.org", password="12345678"))

    def test_what_is_no_address_is_refused(self) -> None:
        for address in (
            "",
            "ann",
            "ann@",
            "@example.org",
            "a b@example.org",
            "a..b@example.org",
            "a\r\nb@c.d",
        ):
            self.refused(Malformed, "user add", address=address)
        for domain in ("", "not a domain", "-a.org", "a..b", "x@example.org"):
            self.refused(Malformed, "domain add", domain=domain)

    def test_a_short_password_is_refused(self) -> None:
        self.refused(Malformed, "user add", address="a@example.org", password="short")

    def test_a_user_needs_a_domain_and_a_free_address(self) -> None:
        self.assertIn("posthouse domain add", self.refused(NoSuchThing, "user add", address="a@else.org"))
        self.user()
        self.refused(Exists, "user add", address="ANN@example.org")

    def test_a_new_password_ends_what_the_old_one_opened(self) -> None:
        account = self.user()
        self.run_op("user passwd", address="ann@example.org", password="new password")
        stored = self.db.read_now(lambda tx: accounts.password_hash(tx, account.id))
        self.assertTrue(verify(b"new password", stored))
        self.assertEqual(self.turned_out, [(account.id, account.mailbox_id)])

    def test_disabling_and_enabling_take_effect_at_once(self) -> None:
        account = self.user()
        self.assertEqual(self.run_op("user disable", address="ann@example.org")["enabled"], False)
        self.assertEqual(self.turned_out, [(account.id, account.mailbox_id)])
        self.assertFalse(self.run_op("user list")[0]["enabled"])
        self.run_op("user enable", address="ann@example.org")
        self.assertTrue(self.run_op("user list")[0]["enabled"])

    def test_a_deleted_user_is_gone_and_the_address_is_free(self) -> None:
        self.user()
        self.run_op("user delete", address="ann@example.org")
        self.assertEqual(self.run_op("user list"), [])
        self.assertEqual(len(self.turned_out), 1)
        self.user()

    def test_operations_on_nobody_are_refused(self) -> None:
        for name in ("user passwd", "user disable", "user enable", "user delete", "app-password list"):
            self.refused(NoSuchAccount, name, address="nobody@example.org")

    def test_a_domain_in_use_stays(self) -> None:
        self.user()
        self.refused(NotPermitted, "domain delete", domain="example.org")
        self.run_op("user delete", address="ann@example.org")
        self.run_op("domain delete", domain="example.org")
        self.assertEqual(self.run_op("domain list"), [])

    def test_an_international_domain_is_kept_in_ascii(self) -> None:
        self.assertEqual(
            self.run_op("domain add", domain="Bücher.example")["domain"], "xn--bcher-kva.example"
        )

    def test_app_passwords_are_made_listed_and_withdrawn(self) -> None:
        account = self.user()
        made = self.run_op("app-password add", address="ann@example.org", label=" my phone ")
        digest = app_password_digest(made["password"].encode())
        self.assertEqual(
            self.db.read_now(lambda tx: accounts.account_for_app_password(tx, digest)), account.id
        )
        (listed,) = self.run_op("app-password list", address="ann@example.org")
        self.assertEqual((listed["id"], listed["label"]), (made["id"], "my phone"))
        self.assertNotIn("password", listed)
        self.user("bob@example.org")
        self.refused(NoSuchThing, "app-password delete", address="bob@example.org", id=made["id"])
        self.run_op("app-password delete", address="ann@example.org", id=made["id"])
        self.assertEqual(self.turned_out, [(account.id, account.mailbox_id)])
        self.assertEqual(self.run_op("app-password list", address="ann@example.org"), [])
        self.refused(Malformed, "app-password add", address="ann@example.org", label=" ")

    def test_aliases_are_added_listed_and_deleted(self) -> None:
        self.user()
        self.run_op("alias add", address="Office@example.org", targets=["ann@example.org", "me@else.example"])
        self.assertEqual(
            self.run_op("alias list"),
            [{"alias": "office@example.org", "targets": ["ann@example.org", "me@else.example"]}],
        )
        self.refused(Exists, "alias add", address="ann@example.org", targets=["x@example.org"])
        self.refused(NoSuchAccount, "alias add", address="loop@example.org", targets=["loop@example.org"])
        self.refused(NoSuchAccount, "alias add", address="typo@example.org", targets=["anm@example.org"])
        self.assertEqual(len(self.run_op("alias list")), 1)
        self.run_op("alias delete", address="office@example.org")
        self.refused(NoSuchAccount, "alias delete", address="office@example.org")


class QueueTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()

        def enqueue(tx: Any) -> int:
            body = bodies.put_body(tx, bodies.prepare(b"Subject: x\r\n\r\nhello\r\n"), NOW)
            return outbox.enqueue(
                tx,
                outbox.OutboxDraft(
                    account_id=None,
                    body_id=body.id,
                    sender="ann@example.org",
                    recipient="bob@else.example",
                    size=body.size,
                    due=NOW + 3_600_000,
                    expires=NOW + 86_400_000,
                ),
                NOW,
            )

        self.id = self.db.write_now(enqueue)

    def test_shows_what_waits(self) -> None:
        (row,) = self.run_op("queue list")
        self.assertEqual((row["id"], row["recipient"], row["state"]), (self.id, "bob@else.example", "due"))
        shown = self.run_op("queue show", id=self.id)
        self.assertEqual({name: shown[name] for name in row}, row)
        self.assertEqual((shown["kind"], shown["suppressed"]), ("human", None))
        self.refused(NoSuchThing, "queue show", id=self.id + 1)

    def test_retry_makes_it_due_and_wakes_the_runner(self) -> None:
        self.assertEqual(self.run_op("queue retry"), {"retried": [self.id]})
        self.assertEqual(self.run_op("queue show", id=self.id)["due"], NOW)
        self.assertEqual(self.pokes, [1])

    def test_hold_keeps_it_until_it_is_retried(self) -> None:
        self.run_op("queue hold", id=self.id)
        self.assertEqual(self.run_op("queue show", id=self.id)["state"], "held")
        self.refused(Conflict, "queue hold", id=self.id)
        self.run_op("queue retry", id=self.id)
        self.assertEqual(self.run_op("queue show", id=self.id)["state"], "due")

    def test_drop_forgets_it(self) -> None:
        self.run_op("queue drop", id=self.id)
        self.assertEqual(self.run_op("queue list"), [])
        self.refused(NoSuchThing, "queue drop", id=self.id)


class DeviceTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.account = self.user()

        def see(tx: Any) -> None:
            device = devices.seen_device(tx, self.account.id, "ABC123", "Phone", "Agent/1", "16.1", NOW)
            devices.log_device(tx, device.id, "Ping 200", NOW)

        self.db.write_now(see)

    def test_lists_and_shows_the_log(self) -> None:
        (row,) = self.run_op("device list")
        self.assertEqual(
            (row["device"], row["address"], row["last_seen"]), ("ABC123", "ann@example.org", NOW)
        )
        self.assertEqual(self.run_op("device log", device="abc123"), [{"at": NOW, "line": "Ping 200"}])
        self.assertEqual(self.run_op("device list", address="ann@example.org"), [row])

    def test_the_log_has_what_the_running_server_remembers_too(self) -> None:
        (row,) = self.run_op("device list")
        remembered = {row["id"]: [(NOW - 1, "Sync"), (NOW, "Ping 200"), (NOW + 1, "Sync again")]}
        self.ports = evolve(self.ports, recent=lambda device: remembered.get(device, []))
        found = self.run_op("device log", device="ABC123", lines=2)
        self.assertEqual([one["line"] for one in found], ["Ping 200", "Sync again"])
        self.assertEqual(len(self.run_op("device log", device="ABC123")), 3)

    def test_trace_is_switched_on_and_off(self) -> None:
        self.run_op("device trace", device="ABC123", on=True)
        self.assertTrue(self.run_op("device list")[0]["trace"])
        self.run_op("device trace", device="ABC123", on=False)
        self.assertFalse(self.run_op("device list")[0]["trace"])

    def test_the_same_name_at_two_users_must_be_told_apart(self) -> None:
        bob = self.user("bob@example.org")
        self.db.write_now(lambda tx: devices.seen_device(tx, bob.id, "ABC123", "Phone", "", "16.1", NOW))
        self.refused(Conflict, "device log", device="ABC123")
        self.assertEqual(self.run_op("device log", device="ABC123", address="bob@example.org"), [])
        self.refused(NoSuchThing, "device log", device="other")


class StatusTests(OperationsCase):
    def test_counts(self) -> None:
        self.user()
        status = self.run_op("status")
        self.assertEqual((status["running"], status["users"], status["domains"]), (False, 1, 1))


class TableTests(OperationsCase):
    def test_every_operation_explains_itself(self) -> None:
        for entry in OPERATIONS.values():
            self.assertTrue(entry.summary.endswith("."), entry.name)

    def test_wrong_arguments_are_refused_before_anything_happens(self) -> None:
        self.refused(NoSuchThing, "user explode")
        self.refused(Malformed, "user add")
        self.refused(Malformed, "user add", address="a@example.org", shoe_size=43)
        self.refused(Malformed, "user add", address=5)
        self.refused(Malformed, "user add", address="a@example.org", admin="yes")
        self.refused(Malformed, "user add", address="a" * 20_000)
        self.refused(Malformed, "queue show", id=True)
        self.refused(Malformed, "alias add", address="a@example.org", targets=[1])
        self.assertEqual(self.run_op("user list"), [])
