"""Receiving a meeting request and declining it, as MS-ASCMD 3.1.5.6 tells it."""

from __future__ import annotations

from posthouse.wbxml.tags import AirSync, Email
from posthouse.wbxml.tags import MeetingResponse as M
from tests.eas.desk import collection, sync
from tests.eas.room import VERSIONS
from tests.eas.test_meeting_response import MeetingCase


class SequenceTests(MeetingCase):
    def test_an_invitation_comes_with_the_inbox(self) -> None:
        """R5085, R5068, R5828."""
        name = str(self.inbox)
        for version in VERSIONS:
            path = (AirSync.Collections, AirSync.Collection)
            key = self.room.post("Sync", sync(collection(name, "0")), version).text(*path, AirSync.SyncKey)
            answer = self.room.post("Sync", sync(collection(name, key, changes=True)), version)
            assert answer.root is not None
            data = answer.root.find(*path, AirSync.Commands, AirSync.Add, AirSync.ApplicationData)
            assert data is not None
            self.assertEqual(data.text(Email.MessageClass), "IPM.Schedule.Meeting.Request")
            self.assertIsNotNone(data.find(Email.MeetingRequest))

    def test_a_declined_one_has_no_calendar_item(self) -> None:
        """R5072."""
        answer = self.post(self.answer())
        assert answer.root is not None
        result = answer.root.find(M.Result)
        assert result is not None
        self.assertEqual((result.text(M.Status), result.find(M.CalendarId)), ("1", None))
