"""Sync of mail, request by request (rule numbers are those of the synchronisation model)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.call import Answer
from posthouse.eas.commands.sync import Sync
from posthouse.model import FolderType
from posthouse.store import devices, folders, items
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email
from posthouse.wbxml.tree import E, Element
from tests.eas.desk import Mirror, Room, change_read, collection, delete, options, sync


def status(answer: object) -> str:
    assert isinstance(answer, Element), answer
    return answer.find(AirSync.Collections, AirSync.Collection).text(AirSync.Status) or ""


def commands(found: Element | None) -> list[tuple[str, int]]:
    """(tag, ServerId) of what an answer tells."""
    if found is None or found.find(AirSync.Commands) is None:
        return []
    return [
        (element.tag.partition(":")[2], int(element.text(AirSync.ServerId)))
        for element in found.find(AirSync.Commands).children
    ]


class FirstFillTests(SynchronousTestCase):
    def test_key_zero_gives_a_key_and_nothing_else(self) -> None:
        room = Room()
        room.mail()
        found = Mirror(room).sync()
        self.assertEqual(
            [child.tag for child in found.children], [AirSync.SyncKey, AirSync.CollectionId, AirSync.Status]
        )

    def test_newest_first_in_windows(self) -> None:
        # Rule 12 of the sync model.
        room = Room()
        mails = [room.mail(f"{n}", age_days=10 - n) for n in range(7)]
        phone = Mirror(room)
        phone.sync()
        seen = []
        while True:
            found = phone.sync(window=3)
            if found is None:
                break
            seen += [number for _, number in commands(found)]
            if found.find(AirSync.MoreAvailable) is None:
                break
        self.assertEqual(seen, [mail.number for mail in reversed(mails)])

    def test_mail_that_arrives_during_the_fill_comes_once(self) -> None:
        # Rule 12 of the sync model.
        room = Room()
        for n in range(6):
            room.mail(f"{n}", age_days=n + 1)
        phone = Mirror(room)
        phone.sync()
        phone.sync(window=2)
        fresh = room.mail("fresh")
        old = room.mail("old", age_days=30)
        for _ in range(10):
            phone.sync(window=2)
        self.assertEqual(len(phone.held), 8)
        self.assertIn(fresh.number, phone.held)
        self.assertIn(old.number, phone.held)

    def test_get_changes_with_key_zero_is_refused(self) -> None:
        room = Room()
        self.assertEqual(Mirror(room).ask(changes=True), 4)  # R3128: of the whole request

    def test_commands_with_key_zero_are_passed_over(self) -> None:
        room = Room()
        mail = room.mail()
        self.assertEqual(status(Mirror(room).ask(commands=[delete(mail)])), "1")
        self.assertIsNotNone(room.now(mail))

    def test_the_answer_stays_within_its_size(self) -> None:
        room = Room(max_response=2500)
        for n in range(9):
            room.mail(f"{n}")
        phone = Mirror(room)
        phone.sync()
        found = phone.sync(window=512)
        self.assertLess(len(commands(found)), 4)
        self.assertIsNotNone(found.find(AirSync.MoreAvailable))
        phone.prime()
        self.assertEqual(len(phone.held), 9)

    def test_order_inside_a_collection(self) -> None:
        # Rule 21 of the sync model.
        room = Room(version=(12, 1))
        mail = room.mail()
        for n in range(3):
            room.mail(f"{n}")
        phone = Mirror(room)
        phone.sync()
        found = phone.sync(window=1, commands=[E(AirSync.Fetch, E(AirSync.ServerId, mail.number))])
        self.assertEqual(
            [child.tag.partition(":")[2] for child in found.children],
            ["SyncKey", "CollectionId", "Status", "MoreAvailable", "Commands", "Responses"],
        )

    def test_class_is_said_to_old_clients_that_say_it(self) -> None:  # R6319
        # Rule 21 of the sync model.
        for version, expected in (((12, 1), "Email"), ((14, 0), None)):
            room = Room(version=version)
            named = E(
                AirSync.Collection,
                E(AirSync.Class, "Email"),
                E(AirSync.SyncKey, "0"),
                E(AirSync.CollectionId, room.name()),
            )
            answer = room.run(Sync(), sync(named))
            found = answer.find(AirSync.Collections, AirSync.Collection)
            self.assertEqual(found.text(AirSync.Class), expected)


class SteadyTests(SynchronousTestCase):
    def test_no_news_is_an_empty_answer_and_the_key_stays(self) -> None:
        room = Room()
        room.mail()
        phone = Mirror(room).prime()
        before = room.db.read_now(lambda tx: devices.states(tx, room.device.id))
        answer = phone.ask()
        self.assertIsInstance(answer, Answer)  # R667
        self.assertEqual(room.db.read_now(lambda tx: devices.states(tx, room.device.id)), before)

    def test_at_12_0_no_news_is_said_with_the_same_key(self) -> None:
        room = Room(version=(12, 0))
        phone = Mirror(room).prime()
        key = phone.key
        self.assertEqual(phone.sync().text(AirSync.SyncKey), key)

    def test_a_change_carries_only_its_group(self) -> None:
        # Rule 8 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        room.read_elsewhere(mail)
        change = phone.sync().find(AirSync.Commands, AirSync.Change)
        self.assertEqual([child.tag for child in change.find(AirSync.ApplicationData).children], [Email.Read])

    def test_its_own_change_is_not_told_back(self) -> None:
        # Rule 9 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        found = phone.sync(commands=[change_read(mail, True)])
        self.assertEqual(commands(found), [])
        self.assertIsNone(found.find(AirSync.Responses))  # R6413
        self.assertTrue(room.now(mail).read)
        self.assertIsNone(phone.sync())

    def test_another_device_is_told(self) -> None:
        room = Room()
        mail = room.mail()
        phone, tablet = Mirror(room).prime(), Mirror(room, device=room.other).prime()
        phone.sync(commands=[change_read(mail, True)])
        self.assertEqual(commands(tablet.sync()), [("Change", mail.number)])

    def test_its_own_flag_does_not_hide_anothers_read_mark(self) -> None:
        # Rule 8 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        room.read_elsewhere(mail)
        flag = E(
            AirSync.Change,
            E(AirSync.ServerId, mail.number),
            E(AirSync.ApplicationData, E(Email.Flag, E(Email.Status, 2), E(Email.FlagType, "for follow up"))),
        )
        found = phone.sync(commands=[flag])
        self.assertEqual(commands(found), [("Change", mail.number)])
        data = found.find(AirSync.Commands, AirSync.Change, AirSync.ApplicationData)
        self.assertEqual([child.tag for child in data.children], [Email.Read])

    def test_delete_moves_to_deleted_items_and_is_news_there(self) -> None:  # R2160
        room = Room()
        mail = room.mail()
        phone, trash = Mirror(room).prime(), Mirror(room, FolderType.DELETED).prime()
        found = phone.sync(commands=[delete(mail)])
        self.assertEqual(commands(found), [])
        self.assertEqual([tag for tag, _ in commands(trash.sync())], ["Add"])
        self.assertIsNone(room.now(mail))

    def test_delete_for_good(self) -> None:
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        answer = room.run(
            Sync(),
            sync(
                E(
                    AirSync.Collection,
                    E(AirSync.SyncKey, phone.key),
                    E(AirSync.CollectionId, phone.name),
                    E(AirSync.DeletesAsMoves, 0),
                    E(AirSync.Commands, delete(mail)),
                )
            ),
        )
        phone.take(answer)
        self.assertEqual(room.folder(FolderType.DELETED).total, 0)
        self.assertEqual(room.folder().total, 0)

    def test_deleting_what_is_gone_is_success(self) -> None:
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        room.delete_elsewhere(mail)
        found = phone.sync(commands=[delete(mail)])
        self.assertIsNone(found.find(AirSync.Responses))
        self.assertEqual(commands(found), [])

    def test_changing_what_is_gone_is_told(self) -> None:
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        room.delete_elsewhere(mail)
        found = phone.sync(commands=[change_read(mail, True)])
        self.assertEqual(found.find(AirSync.Responses, AirSync.Change).text(AirSync.Status), "8")
        self.assertEqual(commands(found), [("Delete", mail.number)])

    def test_what_came_and_went_between_is_not_mentioned(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        room.delete_elsewhere(room.mail())
        self.assertIsNone(phone.sync())

    def test_a_move_is_delete_and_add_with_a_new_id(self) -> None:  # rule 10
        room = Room()
        mail = room.mail()
        inbox, drafts = Mirror(room).prime(), Mirror(room, FolderType.DRAFTS).prime()
        target = room.folder(FolderType.DRAFTS)
        fresh = room.now(mail)
        room.do(lambda tx: items.move_item(tx, fresh, target))
        self.assertEqual(commands(inbox.sync()), [("Delete", mail.number)])
        ((tag, number),) = commands(drafts.sync())
        self.assertEqual(tag, "Add")
        self.assertNotEqual(number, mail.number)

    def test_fetch_gives_the_item(self) -> None:
        room = Room()
        mail = room.mail("to fetch")
        phone = Mirror(room).prime()
        fetched = phone.sync(commands=[E(AirSync.Fetch, E(AirSync.ServerId, mail.number))])
        data = fetched.find(AirSync.Responses, AirSync.Fetch, AirSync.ApplicationData)
        self.assertEqual(data.text(Email.Subject), "to fetch")
        missing = phone.sync(commands=[E(AirSync.Fetch, E(AirSync.ServerId, 99999))])
        self.assertEqual(missing.find(AirSync.Responses, AirSync.Fetch).text(AirSync.Status), "8")

    def test_get_changes_off_tells_nothing_and_loses_nothing(self) -> None:
        # Rule 6 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        fresh = room.mail("fresh")
        found = phone.sync(changes=False, commands=[change_read(mail, True)])
        self.assertEqual(commands(found), [])
        self.assertEqual(commands(phone.sync()), [("Add", fresh.number)])


class LostAnswerTests(SynchronousTestCase):
    def test_the_older_key_is_evaluated_anew(self) -> None:
        # Rule 2 of the sync model.
        room = Room()
        first = room.mail("1")
        phone = Mirror(room)
        phone.sync()
        lost = phone.ask()
        second = room.mail("2")
        found = phone.sync()
        self.assertEqual(sorted(commands(found)), [("Add", first.number), ("Add", second.number)])
        self.assertNotEqual(
            lost.find(AirSync.Collections, AirSync.Collection).text(AirSync.SyncKey), phone.key
        )

    def test_a_read_mark_whose_answer_got_lost_is_applied_once(self) -> None:
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        phone.ask(commands=[change_read(mail, True)])
        number = room.now(mail).read_no
        found = phone.sync(commands=[change_read(mail, True)])
        self.assertEqual(commands(found), [])
        self.assertEqual(room.now(mail).read_no, number)

    def test_what_the_lost_answer_carried_and_is_gone_by_now_is_deleted(self) -> None:
        # Rule 4 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room)
        phone.sync()
        phone.ask()
        room.delete_elsewhere(mail)
        phone.held[mail.number] = False  # it had stored it
        self.assertEqual(commands(phone.sync()), [("Delete", mail.number)])

    def test_an_older_key_than_the_older_is_refused(self) -> None:
        room = Room()
        phone = Mirror(room)
        phone.sync()
        keys = [phone.key]
        for n in range(3):
            room.mail(f"{n}")
            phone.sync()
            keys.append(phone.key)
        answer = phone.ask(key=keys[0])
        self.assertEqual(status(answer), "3")
        self.assertEqual(answer.find(AirSync.Collections, AirSync.Collection).text(AirSync.SyncKey), "0")

    def test_a_key_of_another_folder_is_refused(self) -> None:
        # Rule 1 of the sync model.
        room = Room()
        inbox, trash = Mirror(room).prime(), Mirror(room, FolderType.DELETED).prime()
        self.assertEqual(status(inbox.ask(key=trash.key)), "3")

    def test_a_repeated_draft_is_made_once(self) -> None:
        # Rule 3 of the sync model.
        room = Room(version=(16, 1))
        phone = Mirror(room, FolderType.DRAFTS).prime()
        draft = E(
            AirSync.Add,
            E(AirSync.ClientId, "1"),
            E(
                AirSync.ApplicationData,
                E(Email.To, "b@example.net"),
                E(Email.Subject, "a thought"),
                E(AirSyncBase.Body, E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "text")),
            ),
        )
        lost = phone.ask(commands=[draft])
        first = lost.find(AirSync.Collections, AirSync.Collection, AirSync.Responses, AirSync.Add)
        found = phone.sync(commands=[draft])
        again = found.find(AirSync.Responses, AirSync.Add)
        self.assertEqual(again.text(AirSync.ServerId), first.text(AirSync.ServerId))
        self.assertEqual(again.text(AirSync.Status), "1")
        self.assertEqual(room.folder(FolderType.DRAFTS).total, 1)
        self.assertEqual(commands(found), [])
        self.assertIsNone(phone.sync())
        # ClientIds restart: the same one means another draft under the next key.
        phone.sync(commands=[draft])
        self.assertEqual(room.folder(FolderType.DRAFTS).total, 2)

    def test_a_mail_cannot_be_added_to_the_inbox(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        found = phone.sync(
            commands=[
                E(AirSync.Add, E(AirSync.ClientId, "7"), E(AirSync.ApplicationData, E(Email.Subject, "x")))
            ]
        )
        self.assertEqual(found.find(AirSync.Responses, AirSync.Add).text(AirSync.Status), "6")


class ConflictTests(SynchronousTestCase):
    def change(self, conflict: int | None) -> tuple[Room, Element, object]:
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime(options=options(conflict=conflict))
        room.read_elsewhere(mail, True)
        room.read_elsewhere(mail, False)
        room.read_elsewhere(mail, True)
        found = phone.sync(commands=[change_read(mail, False)])
        return room, found, room.now(mail)

    def test_by_default_the_server_keeps_its_value_and_tells_it(self) -> None:  # R2066, R2069
        # Rule 11 of the sync model.
        for conflict in (None, 1):
            _, found, mail = self.change(conflict)
            self.assertEqual(found.find(AirSync.Responses, AirSync.Change).text(AirSync.Status), "7")
            self.assertTrue(mail.read)
            self.assertEqual([tag for tag, _ in commands(found)], ["Change"])

    def test_the_client_wins_when_it_says_so(self) -> None:  # R2067
        _, found, mail = self.change(0)
        self.assertIsNone(found.find(AirSync.Responses))
        self.assertFalse(mail.read)


class FilterTests(SynchronousTestCase):
    def test_older_mail_stays_away(self) -> None:
        room = Room()
        new = room.mail("new")
        room.mail("old", age_days=20)
        phone = Mirror(room).prime(options=options(3))
        self.assertEqual(list(phone.held), [new.number])

    def test_narrowing_soft_deletes_and_widening_adds(self) -> None:
        # Rule 12 of the sync model.
        room = Room()
        new, old = room.mail("new"), room.mail("old", age_days=20)
        phone = Mirror(room).prime()
        found = phone.sync(options=options(3))
        self.assertEqual(commands(found), [("SoftDelete", old.number)])
        found = phone.sync(options=options(0))
        self.assertEqual(commands(found), [("Add", old.number)])
        self.assertEqual(set(phone.held), {new.number, old.number})

    def test_options_hold_until_replaced_whole(self) -> None:  # R3599
        # Rule 15 of the sync model.
        room = Room()
        room.mail("new")
        old = room.mail("old", age_days=20)
        phone = Mirror(room).prime(options=options(3))
        self.assertIsNone(phone.sync())
        self.assertEqual(commands(phone.sync(options=options())), [("Add", old.number)])

    def test_the_cut_off_steps_once_a_day(self) -> None:
        # Rule 14 of the sync model.
        room = Room()
        mail = room.mail("new")
        phone = Mirror(room).prime(options=options(1))
        self.assertEqual(list(phone.held), [mail.number])
        room.clock.advance(3 * 86400)
        self.assertEqual(commands(phone.sync()), [("SoftDelete", mail.number)])


class RequestTests(SynchronousTestCase):
    def test_an_unknown_folder_is_a_changed_hierarchy(self) -> None:
        room = Room()
        self.assertEqual(status(room.run(Sync(), sync(collection("424242", "0")))), "12")

    def test_wait_and_heartbeat_together_are_refused(self) -> None:  # R3162
        room = Room()
        phone = Mirror(room).prime()
        self.assertEqual(room.run(Sync(), sync(collection(phone.name, phone.key), wait=1, heartbeat=60)), 4)

    def test_out_of_range_is_answered_with_the_nearest(self) -> None:  # R3229, R3230, R5781
        room = Room()
        phone = Mirror(room).prime()
        for more, limit in (
            ({"heartbeat": 59}, "60"),
            ({"heartbeat": 3541}, "3540"),
            ({"wait": 0}, "1"),
            ({"wait": 60}, "59"),
        ):
            answer = room.run(Sync(), sync(collection(phone.name, phone.key), **more))
            self.assertEqual(answer.text(AirSync.Status), "14")
            self.assertEqual(answer.text(AirSync.Limit), limit)

    def test_too_many_collections(self) -> None:
        room = Room(max_ping_folders=2)
        answer = room.run(Sync(), sync(*(collection(str(n), "0") for n in range(3))))
        self.assertEqual((answer.text(AirSync.Status), answer.text(AirSync.Limit)), ("15", "2"))

    def test_empty_commands_are_none(self) -> None:  # R2058
        room = Room()
        phone = Mirror(room).prime()
        root = sync(
            E(
                AirSync.Collection,
                E(AirSync.SyncKey, phone.key),
                E(AirSync.CollectionId, phone.name),
                E(AirSync.Commands),
            )
        )
        self.assertIsNone(phone.take(room.run(Sync(), root)))

    def test_two_hundred_commands_and_not_one_more(self) -> None:  # R5658
        # Rule 25 of the sync model.
        room = Room()
        phone = Mirror(room).prime()
        fetch = [E(AirSync.Fetch, E(AirSync.ServerId, n)) for n in range(201)]
        self.assertEqual(room.run(Sync(), sync(collection(phone.name, phone.key, commands=fetch))), 4)
        self.assertEqual(status(phone.ask(commands=fetch[:200])), "1")

    def test_an_empty_request_without_a_cache(self) -> None:  # R4456
        # Rule 19 of the sync model.
        self.assertEqual(Room().run(Sync(), None), 13)

    def test_an_empty_request_repeats_the_last_without_its_commands(self) -> None:
        # Rule 19 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        phone.sync(commands=[change_read(mail, True)])
        phone.sync()
        room.read_elsewhere(mail, False)
        found = phone.take(room.run(Sync(), None))
        self.assertEqual(commands(found), [("Change", mail.number)])
        self.assertFalse(phone.held[mail.number])

    def test_a_partial_request_takes_the_rest_from_the_last(self) -> None:  # R3644
        # Rule 19 of the sync model.
        room = Room()
        inbox, trash = Mirror(room).prime(), Mirror(room, FolderType.DELETED).prime()
        room.run(Sync(), sync(collection(inbox.name, inbox.key), collection(trash.name, trash.key)))
        mail = room.mail("binned", type=FolderType.DELETED)
        answer = room.run(Sync(), sync(collection(inbox.name, inbox.key), partial=True))
        self.assertEqual(commands(trash.take(answer)), [("Add", mail.number)])

    def test_the_global_window_is_honoured(self) -> None:  # R4776
        room = Room()
        for n in range(4):
            room.mail(f"{n}")
            room.mail(f"{n}", type=FolderType.DELETED)
        inbox, trash = Mirror(room), Mirror(room, FolderType.DELETED)
        inbox.sync()
        trash.sync()
        answer = room.run(
            Sync(), sync(collection(inbox.name, inbox.key), collection(trash.name, trash.key), window=5)
        )
        told = [
            len(commands(found)) for found in answer.find(AirSync.Collections).findall(AirSync.Collection)
        ]
        self.assertEqual(told, [4, 1])

    def test_a_bad_collection_does_not_spoil_the_others(self) -> None:
        room = Room()
        mail = room.mail()
        phone = Mirror(room)
        phone.sync()
        answer = room.run(Sync(), sync(collection("424242", "5"), collection(phone.name, phone.key)))
        first, second = answer.find(AirSync.Collections).findall(AirSync.Collection)
        self.assertEqual(first.text(AirSync.Status), "12")
        self.assertEqual(commands(second), [("Add", mail.number)])

    def test_a_device_that_was_away_too_long_begins_anew(self) -> None:
        # Rule 7 of the sync model.
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        room.delete_elsewhere(mail)
        room.do(
            lambda tx: tx.execute(
                "UPDATE mailbox SET tombstone_horizon = counter WHERE id = ?", (room.account.mailbox_id,)
            )
        )
        self.assertEqual(status(phone.ask()), "3")

    def test_what_an_administrator_forgets_during_a_request_stays_forgotten(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        room.mail()
        real = room.db.read

        def read(function: Callable[..., object]) -> Deferred[object]:
            found = real(function)
            room.do(lambda tx: devices.forget_state(tx, room.device.id, phone.name))
            return found

        self.patch(room.db, "read", read)
        self.assertEqual(status(phone.ask()), "3")


class HangingTests(SynchronousTestCase):
    def hang(self, room: Room, phone: Mirror, **more: int) -> list[object]:
        found: list[object] = []
        room.start(Sync(), sync(collection(phone.name, phone.key), **more)).addBoth(found.append)
        return found

    def test_it_ends_with_the_mail(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        found = self.hang(room, phone, heartbeat=600)
        room.clock.advance(10)
        self.assertEqual(found, [])
        mail = room.mail("at last")
        room.clock.pump([0] * 20)
        self.assertEqual(commands(phone.take(found[0])), [("Add", mail.number)])
        self.assertEqual(room.services.yard.parked, [])

    def test_it_ends_empty_at_its_heartbeat(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        found = self.hang(room, phone, wait=2)
        room.clock.advance(119.9)
        self.assertEqual(found, [])
        room.clock.advance(0.2)
        self.assertIsInstance(found[0], Answer)

    def test_a_newer_one_takes_its_place(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        first = self.hang(room, phone, heartbeat=600)
        second = self.hang(room, phone, heartbeat=600)
        self.assertIsInstance(first[0], Answer)
        self.assertEqual(second, [])

    def test_a_request_with_changes_is_answered_at_once(self) -> None:
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        answer = room.run(
            Sync(), sync(collection(phone.name, phone.key, commands=[change_read(mail, True)]), heartbeat=600)
        )
        self.assertEqual(status(answer), "1")

    def test_a_client_that_goes_away_before_it_waits_is_forgotten(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        slow: Deferred[object] = Deferred()
        self.patch(room.db, "read", lambda function: slow)
        hanging = room.start(Sync(), sync(collection(phone.name, phone.key), heartbeat=600))
        hanging.cancel()
        self.failureResultOf(hanging, CancelledError)
        self.assertEqual((room.services.yard.parked, room.bus.listening), ([], 0))

    def test_a_client_that_goes_away_is_forgotten(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        self.hang(room, phone, heartbeat=600)
        self.assertEqual(len(room.services.yard.parked), 1)
        room.gone[-1].callback(None)
        self.assertEqual(room.services.yard.parked, [])
        self.assertEqual(room.clock.getDelayedCalls(), [])


class BrokenItemTests(SynchronousTestCase):
    def break_item(self, room: Room, number: int) -> None:
        room.do(lambda tx: tx.execute("UPDATE item SET structure = x'7b' WHERE number = ?", (number,)))

    def test_it_is_set_aside_and_the_others_arrive(self) -> None:
        # Rule 16 of the sync model.
        room = Room()
        good, bad, better = room.mail("1"), room.mail("2"), room.mail("3")
        self.break_item(room, bad.number)
        phone = Mirror(room).prime()
        self.assertEqual(set(phone.held), {good.number, better.number})
        (aside,) = room.db.read_now(lambda tx: devices.aside(tx, room.device.id))
        self.assertEqual(aside.number, bad.number)
        self.assertIsNone(phone.sync())

    def test_mended_and_retried_it_arrives(self) -> None:
        # Rule 16 of the sync model.
        room = Room()
        bad = room.mail("2")
        kept = bad.structure
        self.break_item(room, bad.number)
        phone = Mirror(room).prime()
        self.assertEqual(phone.held, {})
        room.do(lambda tx: tx.execute("UPDATE item SET structure = ? WHERE number = ?", (kept, bad.number)))
        room.do(lambda tx: devices.offer_again(tx, room.device.id))
        self.assertEqual(commands(phone.sync()), [("Add", bad.number)])

    def test_an_item_that_breaks_the_device_is_found_and_set_aside(self) -> None:
        # Rule 16 of the sync model.
        room = Room()
        mails = [room.mail(f"{n}") for n in range(30)]
        phone = Mirror(room)
        phone.sync()
        sizes = []
        for _ in range(8):
            answer = phone.ask()  # written in full, and yet it never comes back with the new key
            sizes.append(len(commands(answer.find(AirSync.Collections, AirSync.Collection))))
        self.assertEqual(sizes[:2], [30, 30])
        self.assertEqual(sizes[2:4], [25, 25])
        self.assertEqual(sizes[4:], [1, 1, 1, 1])
        (aside,) = room.db.read_now(lambda tx: devices.aside(tx, room.device.id))
        self.assertEqual(aside.number, mails[-1].number)

    def test_a_bad_line_is_not_a_broken_item(self) -> None:
        # Rule 16 of the sync model.
        room = Room()
        for n in range(30):
            room.mail(f"{n}")
        phone = Mirror(room)
        phone.sync()
        for _ in range(20):
            answer = phone.ask()
            for deferred in room.gone:
                if not deferred.called:
                    deferred.callback(None)  # the line broke before the last byte
            self.assertEqual(len(commands(answer.find(AirSync.Collections, AirSync.Collection))), 30)
        self.assertEqual(room.db.read_now(lambda tx: devices.aside(tx, room.device.id)), [])


class DeletedFolderTests(SynchronousTestCase):
    def test_a_folder_that_vanished_is_status_12(self) -> None:
        # Rule 20 of the sync model.
        room = Room()
        made = room.do(
            lambda tx: folders.create_folder(tx, room.account.mailbox_id, 0, "x", FolderType.USER_MAIL, 0)
        )
        answer = room.run(Sync(), sync(collection(str(made.number), "0")))
        key = answer.find(AirSync.Collections, AirSync.Collection).text(AirSync.SyncKey)
        room.do(lambda tx: folders.delete_folder(tx, folders.folder_by_id(tx, made.id)))
        self.assertEqual(status(room.run(Sync(), sync(collection(str(made.number), key)))), "12")
