"""What every command goes through."""

import json
from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.pipeline import Incoming
from posthouse.eas.query import CODES
from posthouse.eas.registry import SHAPES, commands
from posthouse.eas.services import EasSettings
from posthouse.errors import OverQuota, StorageFull, TooLarge
from posthouse.model import DeviceAccess
from posthouse.store import devices, numbers, policies
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import Ping, Settings
from posthouse.wbxml.tree import E
from tests.eas.provisioning import information
from tests.eas.room import VERSIONS, Room, result

FIRST = E(F.FolderSync, E(F.SyncKey, 0))


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))

    def change(self, **fields: object) -> None:
        self.room.post("FolderSync", FIRST)
        row = self.room.device().id
        self.room.db.write_now(lambda tx: devices.update_device(tx, row, **fields))

    def test_every_answer_has_the_servers_header_and_type(self) -> None:
        response = self.room.post("FolderSync", FIRST)
        self.assertEqual(response.headers["ms-server-activesync"], "15.1")
        self.assertEqual(response.kind, "application/vnd.ms-sync.wbxml")

    def test_a_query_that_is_none_is_400(self) -> None:
        self.assertEqual(self.room.post("x", FIRST, query=b"%%%").code, 400)
        self.assertEqual(self.room.post("x", FIRST, query=b"").code, 400)

    def test_unsupported_versions(self) -> None:
        for version in ("2.5", "1.0", "15.0", "17.0", "abc", "99999"):
            response = self.room.post("FolderSync", FIRST, version)
            self.assertEqual(response.code, 400, version)

    def test_no_version_is_12_1(self) -> None:
        self.assertEqual(self.room.post("FolderSync", FIRST, headers={"MS-ASProtocolVersion": ""}).code, 200)
        self.assertEqual(self.room.device().protocol, "12.1")

    def test_the_base64_query_carries_the_version(self) -> None:
        data = bytes([161, 9, 9, 4, 2]) + b"d1\0\x06iPhone"
        response = self.room.post("x", FIRST, "12.0", query=b64encode(data))
        self.assertEqual(response.text(F.Status), "1")
        self.room.device_id = "d1"
        self.assertEqual(self.room.device().protocol, "16.1")

    def test_missing_device_names(self) -> None:
        """MS-ASCMD 108 and 109; 400 at 12.1."""
        query = b"Cmd=FolderSync&DeviceType=iPhone"
        self.assertEqual(self.room.post("x", FIRST, query=query).text(F.Status), "108")
        self.assertEqual(self.room.post("x", FIRST, "12.1", query=query).code, 400)
        self.assertEqual(self.room.post("x", FIRST, query=b"Cmd=FolderSync&DeviceId=a").text(F.Status), "109")

    def test_commands_that_nobody_knows(self) -> None:
        for version in VERSIONS:
            self.assertEqual(self.room.post("Teleport", FIRST, version).code, 501)

    def test_every_command_of_the_protocol_is_there(self) -> None:
        self.assertEqual(list(commands()), list(CODES.values()))
        self.assertNotIn(137, [status for _, status in self.statuses()])

    def statuses(self) -> list[tuple[str, int]]:
        """What each command says to a request with nothing in it."""
        found = []
        for name in CODES.values():
            empty = E(SHAPES[name][0]) if name in SHAPES else None
            answer = self.room.post(name, empty, check=False)
            texts = (
                [one.value for one in answer.root.iter() if one.tag.endswith(":Status")]
                if answer.root
                else []
            )
            found += [(name, int(text)) for text in texts] or [(name, answer.code)]
        return found

    def test_a_command_of_another_version_is_138(self) -> None:
        # Rule 24 of the sync model.
        """R7559: 400, since neither has a document that could say it."""
        for version in VERSIONS:
            if version > "13":
                self.assertEqual(self.room.post("GetAttachment", None, version).code, 400)
                self.assertEqual(self.room.post("GetHierarchy", None, version).code, 400)

    def test_a_user_who_shall_have_no_phone_is_126(self) -> None:
        """R4869, R7555; a phone that is to be erased hears of that first."""
        account = self.room.account.id
        self.room.post("FolderSync", FIRST)
        self.room.db.write_now(lambda tx: policies.set_new_devices(tx, account, DeviceAccess.BLOCKED))
        for name in (self.room.device_id, "ANOTHER"):
            self.room.device_id = name
            for version in VERSIONS:
                answer = self.room.post("FolderSync", FIRST, version)
                said = (answer.code, answer.text(F.Status))
                self.assertEqual(said, (200, "126") if version > "13" else (403, ""), version)
        self.assertEqual(len(self.room.db.read_now(lambda tx: devices.devices(tx, account))), 1)
        self.room.device_id = "PHONE1"
        row = self.room.device().id
        self.room.db.write_now(lambda tx: devices.update_device(tx, row, wipe="device", wipe_state="ordered"))
        self.assertEqual(self.room.post("FolderSync", FIRST).text(F.Status), "140")
        self.room.db.write_now(lambda tx: devices.update_device(tx, row, wipe="", wipe_state=""))
        self.room.db.write_now(lambda tx: policies.set_new_devices(tx, account, None))
        self.assertEqual(self.room.post("FolderSync", FIRST).text(F.Status), "1")

    def test_an_empty_body_where_it_means_nothing_is_101(self) -> None:
        self.assertEqual(self.room.post("FolderSync", None).text(F.Status), "101")
        self.assertEqual(self.room.post("FolderSync", None, "12.1").code, 400)

    def test_bytes_that_are_no_wbxml_are_102(self) -> None:
        kind = {"Content-Type": "application/vnd.ms-sync.wbxml"}
        for data in (b"hello", b"\x03\x01\x6a\x00", b"\x00", encode(FIRST)[:-2]):
            self.assertEqual(self.room.post("FolderSync", data, headers=kind).text(F.Status), "102", data)
            self.assertEqual(self.room.post("FolderSync", data, "12.1", headers=kind).code, 400)

    def test_text_in_place_of_wbxml_is_101(self) -> None:
        """R4813."""
        response = self.room.post("FolderSync", b"hello", headers={"Content-Type": "text/plain"})
        self.assertEqual(response.text(F.Status), "101")

    def test_the_document_of_another_command_is_103(self) -> None:
        self.assertEqual(self.room.post("FolderSync", E(Ping.Ping)).text(F.Status), "103")

    def test_a_body_without_a_type_is_tried(self) -> None:
        response = self.room.post("FolderSync", FIRST, headers={"Content-Type": ""})
        self.assertEqual(response.text(F.Status), "1")

    def test_a_body_that_is_too_large_is_101(self) -> None:
        def body() -> object:
            return fail(TooLarge())

        reply = result(
            self.room.pipeline.answer(
                self.room.account,
                Incoming(
                    b"Cmd=FolderSync&DeviceId=a&DeviceType=b",
                    lambda name: "14.1" if name == "MS-ASProtocolVersion" else "",
                    body,  # type: ignore[arg-type]
                ),
            )
        )
        self.assertEqual(reply.code, 200)
        self.assertIn(b"101", reply.body)

    def test_a_blocked_device_is_129_or_403(self) -> None:
        for access in (DeviceAccess.BLOCKED, DeviceAccess.QUARANTINED):
            self.change(access=access)
            self.assertEqual(self.room.post("FolderSync", FIRST).text(F.Status), "129")
            self.assertEqual(self.room.post("FolderSync", FIRST, "12.1").code, 403)
            self.change(access=DeviceAccess.ALLOWED)

    def test_a_device_may_have_a_ceiling(self) -> None:
        self.change(version_ceiling="14.0")
        self.assertEqual(self.room.post("FolderSync", FIRST, "14.1").text(F.Status), "138")
        self.assertEqual(self.room.post("FolderSync", FIRST, "14.0").text(F.Status), "1")

    def test_a_user_agent_may_have_a_ceiling(self) -> None:
        room = Room(EasSettings(policy=None, ceilings=(("OldMail/", (12, 1)),)), agent="OldMail/3")
        self.assertEqual(room.post("FolderSync", FIRST, "14.1").text(F.Status), "138")
        self.assertEqual(room.post("FolderSync", FIRST, "12.1").text(F.Status), "1")

    def test_a_device_is_written_when_something_is_new_and_now_and_then(self) -> None:
        writes: list[int] = []
        seen = devices.seen_device
        self.patch(devices, "seen_device", lambda *args: writes.append(1) or seen(*args))
        bad = E(F.FolderSync, E(F.SyncKey, "bad"))
        for _ in range(3):
            self.room.post("FolderSync", bad)
        self.assertEqual(len(writes), 1)
        self.room.post("FolderSync", bad, "16.1")
        self.assertEqual(len(writes), 2)
        self.room.agent = "TestPhone/2.0"
        self.room.post("FolderSync", bad, "16.1")
        self.assertEqual(len(writes), 3)
        self.room.clock.advance(301)
        self.room.post("FolderSync", bad, "16.1")
        self.assertEqual(len(writes), 4)

    def test_too_many_devices_are_177_until_one_is_stale(self) -> None:
        room = Room(EasSettings(policy=None, max_devices=2))
        for name in ("A", "B"):
            room.device_id = name
            self.assertEqual(room.post("FolderSync", FIRST).text(F.Status), "1")
            room.clock.advance(60)
        room.device_id = "C"
        self.assertEqual(room.post("FolderSync", FIRST).text(F.Status), "177")
        self.assertEqual(room.post("FolderSync", FIRST, "12.1").code, 403)
        room.clock.advance(30 * 24 * 3600 - 60)
        self.assertEqual(room.post("FolderSync", FIRST).text(F.Status), "1")
        known = room.db.read_now(lambda tx: devices.devices(tx, room.account.id))
        self.assertEqual([device.device_id for device in known], ["B", "C"])

    def test_what_the_grammar_does_not_know_is_skipped(self) -> None:
        # Rule 17 of the sync model.
        root = E(F.FolderSync, E(Ping.Folders, E(Ping.Folder)), E(F.SyncKey, 0))
        self.assertEqual(self.room.post("FolderSync", root).text(F.Status), "1")


class FailureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.room.post("FolderSync", FIRST)

    def raising(self, error: Exception) -> None:
        def top_number(tx: object, mailbox_id: int) -> int:
            raise error

        self.patch(numbers, "top_number", top_number)

    def test_what_may_pass_is_503_with_a_time(self) -> None:
        self.raising(StorageFull(after=42))
        for version in VERSIONS:
            response = self.room.post("FolderSync", FIRST, version)
            self.assertEqual((response.code, response.headers["retry-after"]), (503, "42"))

    def test_errors_of_the_house_are_translated(self) -> None:
        self.raising(OverQuota())
        self.assertEqual(self.room.post("FolderSync", FIRST).text(F.Status), "113")
        self.assertEqual(self.room.post("FolderSync", FIRST, "12.1").code, 507)

    def test_what_nobody_expected_is_110_and_logged(self) -> None:
        self.raising(ZeroDivisionError("oops"))
        self.assertEqual(self.room.post("FolderSync", FIRST).text(F.Status), "110")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.room.post("FolderSync", FIRST, "12.1").code, 500)
        self.flushLoggedErrors(ZeroDivisionError)


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.room.post("FolderSync", FIRST)

    def lines(self) -> list[str]:
        row = self.room.device().id
        return [line for _, line in self.room.db.read_now(lambda tx: devices.device_log(tx, row, 50))]

    def trace(self) -> None:
        row = self.room.device().id
        self.room.db.write_now(lambda tx: devices.update_device(tx, row, trace=True))

    def test_a_success_leaves_nothing_in_the_device_log(self) -> None:
        self.assertEqual(self.lines(), [])

    def test_a_failure_leaves_one_line_with_its_cause(self) -> None:
        self.room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, "bad")))
        (line,) = self.lines()
        facts = json.loads(line)
        self.assertEqual((facts["command"], facts["status"], facts["http"]), ("FolderSync", 9, 200))
        self.assertIn("neither the last key", facts["cause"])
        self.assertEqual(self.room.device().last_error, "FolderSync: HTTP 200, status 9")

    def test_a_traced_device_leaves_xml_and_bytes(self) -> None:
        self.trace()
        self.room.post("FolderSync", FIRST)
        text = "\n".join(self.lines())
        self.assertIn("<FolderSync", text)
        self.assertIn("<DisplayName>", text)
        self.assertIn(encode(FIRST).hex(), text)

    def test_a_trace_has_no_password(self) -> None:
        self.trace()
        secret = E(
            Settings.Settings, E(Settings.DevicePassword, E(Settings.Set, E(Settings.Password, "s3cret")))
        )
        self.room.post("Settings", secret)
        text = "\n".join(self.lines())
        self.assertIn("<DevicePassword", text)
        self.assertNotIn("s3cret", text)
        self.assertNotIn(b"s3cret".hex(), text)


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))

    def test_what_ios_asks_first(self) -> None:
        ask = E(
            Settings.Settings,
            E(Settings.UserInformation, E(Settings.Get)),
            E(
                Settings.DeviceInformation,
                E(Settings.Set, E(Settings.Model, "iPhone"), E(Settings.OS, "iOS 18")),
            ),
        )
        for version in VERSIONS:
            response = self.room.post("Settings", ask, version)
            assert response.root is not None
            self.assertEqual(response.text(Settings.Status), "1")
            self.assertEqual(response.text(Settings.DeviceInformation, Settings.Status), "1")
            got = response.root.find(Settings.UserInformation, Settings.Get)
            assert got is not None
            if version >= "14.1":
                addresses = got.find(Settings.Accounts, Settings.Account, Settings.EmailAddresses)
                assert addresses is not None
                self.assertEqual(addresses.text(Settings.PrimarySmtpAddress), "a@example.org")
            else:
                addresses = got.find(Settings.EmailAddresses)
                assert addresses is not None
            self.assertEqual(addresses.text(Settings.SMTPAddress), "a@example.org")
        self.assertEqual(self.room.device().information, {"Model": "iPhone", "OS": "iOS 18"})

    def test_information_that_is_too_long_is_5(self) -> None:
        response = self.room.post("Settings", E(Settings.Settings, information("x" * 2000)))
        self.assertEqual(response.text(Settings.DeviceInformation, Settings.Status), "5")

    def test_a_recovery_password_is_denied(self) -> None:
        put = E(Settings.Settings, E(Settings.DevicePassword, E(Settings.Set, E(Settings.Password, "x"))))
        self.assertEqual(self.room.post("Settings", put).text(Settings.DevicePassword, Settings.Status), "7")

    def test_rights_management_has_no_templates(self) -> None:
        ask = E(Settings.Settings, E(Settings.RightsManagementInformation, E(Settings.Get)))
        response = self.room.post("Settings", ask)
        self.assertEqual(response.text(Settings.RightsManagementInformation, Settings.Status), "1")

    def test_nothing_or_the_same_twice_is_2(self) -> None:
        self.assertEqual(self.room.post("Settings", E(Settings.Settings)).text(Settings.Status), "2")
        twice = E(Settings.Settings, information(), information())
        self.assertEqual(self.room.post("Settings", twice).text(Settings.Status), "2")


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.binary(max_size=200), st.sampled_from(["FolderSync", "Provision", "Settings", "ItemOperations"])
    )
    def test_any_body_is_answered(self, data: bytes, command: str) -> None:
        room = Room(EasSettings(policy=None))
        for body in (data, b"\x03\x01\x6a\x00" + data):
            response = room.post(
                command, body, headers={"Content-Type": "application/vnd.ms-sync.wbxml"}, check=False
            )
            self.assertIn(response.code, (200, 400))
