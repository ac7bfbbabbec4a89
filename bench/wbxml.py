"""How fast WBXML is read and written, beside libwbxml.

Run: ``python bench/wbxml.py``. libwbxml (Debian's libwbxml2-1) makes XML text out of WBXML and the other
way round, which is the work closest to ours; it is called in this process, without the cost of starting a
program. Sizes are those of the WBXML.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable

from posthouse.wbxml import E, Element, decode, encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Calendar, Email, Email2

_ACTIVESYNC_LANGUAGE_NAME = b"-//MICROSOFT//DTD ActiveSync//EN"


def mails(count: int = 100, size: int = 20_000) -> Element:
    """A Sync response of ``count`` new mails, each with an HTML body of about ``size`` characters."""
    line = '<p style="margin:0">Sehr geehrte Damen und Herren, vielen Dank f\u00fcr Ihre Bestellung.</p>\r\n'
    body = line * (size // len(line))

    def mail(number: int) -> Element:
        return E(
            AirSync.Add,
            E(AirSync.ServerId, f"5:{number}"),
            E(
                AirSync.ApplicationData,
                E(Email.To, '"Ada Byron" <ada@example.org>'),
                E(Email.From, f'"Sender {number}" <sender{number}@example.net>'),
                E(Email.Subject, f"Re: Your order {number}"),
                E(Email.DateReceived, "2026-10-05T07:45:12.000Z"),
                E(Email.DisplayTo, "Ada Byron"),
                E(Email.ThreadTopic, f"Your order {number}"),
                E(Email.Importance, 1),
                E(Email.Read, 0),
                E(
                    AirSyncBase.Body,
                    E(AirSyncBase.Type, 2),
                    E(AirSyncBase.EstimatedDataSize, len(body)),
                    E(AirSyncBase.Truncated, 0),
                    E(AirSyncBase.Data, body),
                ),
                E(Email.MessageClass, "IPM.Note"),
                E(Email.InternetCPID, 65001),
                E(Email.Flag),
                E(Email.ContentClass, "urn:content-classes:message"),
                E(AirSyncBase.NativeBodyType, 2),
                E(Email2.ConversationId, bytes(range(16))),
                E(Email2.ConversationIndex, bytes(range(5))),
            ),
        )

    return _sync(mail(number) for number in range(count))


def appointments(count: int = 1000) -> Element:
    """A Sync response of ``count`` appointments: many small elements."""

    def appointment(number: int) -> Element:
        return E(
            AirSync.Add,
            E(AirSync.ServerId, f"2:{number}"),
            E(
                AirSync.ApplicationData,
                E(Calendar.Timezone, "xP///yg" + "A" * 60),
                E(Calendar.DtStamp, "20261005T074512Z"),
                E(Calendar.StartTime, "20261005T080000Z"),
                E(Calendar.EndTime, "20261005T090000Z"),
                E(Calendar.Subject, f"Meeting {number}"),
                E(Calendar.UID, f"040000008200E00074C5B7101A82E008{number:08X}"),
                E(Calendar.OrganizerName, "Ada Byron"),
                E(Calendar.OrganizerEmail, "ada@example.org"),
                E(
                    Calendar.Attendees,
                    [
                        E(
                            Calendar.Attendee,
                            E(Calendar.Email, f"guest{guest}@example.org"),
                            E(Calendar.Name, f"Guest {guest}"),
                            E(Calendar.AttendeeStatus, 0),
                            E(Calendar.AttendeeType, 1),
                        )
                        for guest in range(4)
                    ],
                ),
                E(AirSyncBase.Location, E(AirSyncBase.DisplayName, "Room 4")),
                E(Calendar.Sensitivity, 0),
                E(Calendar.BusyStatus, 2),
                E(Calendar.AllDayEvent, 0),
                E(Calendar.Reminder, 15),
                E(Calendar.MeetingStatus, 1),
                E(
                    Calendar.Recurrence,
                    E(Calendar.Type, 1),
                    E(Calendar.Interval, 1),
                    E(Calendar.DayOfWeek, 2),
                ),
            ),
        )

    return _sync(appointment(number) for number in range(count))


def _sync(commands: object) -> Element:
    return E(
        AirSync.Sync,
        E(
            AirSync.Collections,
            E(
                AirSync.Collection,
                E(AirSync.SyncKey, "17"),
                E(AirSync.CollectionId, "5"),
                E(AirSync.Status, 1),
                E(AirSync.Commands, commands),  # type: ignore[arg-type]
            ),
        ),
    )


class LibWbxml:
    """libwbxml's two conversions."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libwbxml2.so.1")
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = [ctypes.c_void_p]

    def _run(self, name: str, data: bytes) -> bytes:
        lib = self._lib
        converter = ctypes.c_void_p()
        getattr(lib, f"wbxml_conv_{name}_create")(ctypes.byref(converter))
        if name == "wbxml2xml":
            lib.wbxml_conv_wbxml2xml_set_language(converter, self.language())
            lib.wbxml_conv_wbxml2xml_set_gen_type(converter, 0)
        else:
            lib.wbxml_conv_xml2wbxml_disable_string_table(converter)
        made, size = ctypes.c_void_p(), ctypes.c_uint32()
        run = getattr(lib, f"wbxml_conv_{name}_run")
        status = run(converter, data, ctypes.c_uint32(len(data)), ctypes.byref(made), ctypes.byref(size))
        getattr(lib, f"wbxml_conv_{name}_destroy")(converter)
        if status:
            raise RuntimeError(f"libwbxml {name}: error {status}")
        result = ctypes.string_at(made, size.value)
        self._free(made)
        return result

    def language(self) -> int:
        """The number of ActiveSync in this version's enumeration, read from its own main table."""
        table = self._lib.wbxml_tables_get_main
        table.restype = ctypes.POINTER(_Language)
        languages = table()
        for row in range(64):
            if not languages[row].tags:
                break
            public = languages[row].public.contents.xml if languages[row].public else None
            if public == _ACTIVESYNC_LANGUAGE_NAME:
                return int(languages[row].number)
        raise RuntimeError("this libwbxml does not know ActiveSync")

    def to_xml(self, data: bytes) -> bytes:
        return self._run("wbxml2xml", data)

    def to_wbxml(self, xml: bytes) -> bytes:
        return self._run("xml2wbxml", xml)


class _PublicId(ctypes.Structure):
    _fields_ = [
        ("number", ctypes.c_uint32),
        ("xml", ctypes.c_char_p),
        ("root", ctypes.c_char_p),
        ("dtd", ctypes.c_char_p),
    ]


class _Language(ctypes.Structure):
    _fields_ = [
        ("number", ctypes.c_int),
        ("public", ctypes.POINTER(_PublicId)),
        ("tags", ctypes.c_void_p),
        ("namespaces", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("extensions", ctypes.c_void_p),
    ]


def best(function: Callable[[], object], runs: int = 7) -> float:
    """The shortest of some runs, in seconds."""
    times = []
    for _ in range(runs):
        gc.collect()
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    # As the daemon does: what exists at the start is not looked at by every collection.
    gc.freeze()
    try:
        library: LibWbxml | None = LibWbxml()
    except OSError:
        library = None
    for title, tree in (("100 mails of 20 KB", mails()), ("1000 appointments", appointments())):
        data = encode(tree)
        if decode(data) != tree:
            raise AssertionError("decode(encode(x)) != x")
        elements = sum(1 for _ in tree.iter())
        print(f"{title}: {len(data):,} bytes, {elements:,} elements")
        rows: list[tuple[str, Callable[[], object]]] = [
            ("decode", lambda data=data: decode(data)),  # type: ignore[misc]
            ("encode", lambda tree=tree: encode(tree)),  # type: ignore[misc]
        ]
        if library is not None:
            xml = library.to_xml(data)
            rows.append(("libwbxml to XML", lambda data=data: library.to_xml(data)))  # type: ignore[misc]
            rows.append(("libwbxml from XML", lambda xml=xml: library.to_wbxml(xml)))  # type: ignore[misc]
        for name, function in rows:
            seconds = best(function)
            print(
                f"  {name:18} {len(data) / seconds / 1e6:9.1f} MB/s"
                f" {elements / seconds / 1e6:7.2f} M elements/s {seconds * 1e3:8.2f} ms"
            )


if __name__ == "__main__":
    main()
