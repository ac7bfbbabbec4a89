"""The table of what may be demanded of a phone, against Microsoft's own schema and words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.policy import FIXED, PRESETS, SETTINGS, check_name, check_setting, trimmed
from tests.support.shared import shared_path

_XS = "{http://www.w3.org/2001/XMLSchema}"


class TableTests(SynchronousTestCase):
    def test_every_element_of_the_schema_is_there_in_its_order(self) -> None:
        """MS-ASPROV 2.2.2.28: the children of EASProvisionDoc."""
        schema = ElementTree.parse(shared_path() / "ms-eas" / "xsd" / "Provision.xsd").getroot()
        document = next(one for one in schema.iter(_XS + "element") if one.get("name") == "EASProvisionDoc")
        sequence = document.find(f"{_XS}complexType/{_XS}sequence")
        assert sequence is not None
        names = [one.get("name") for one in sequence.findall(_XS + "element")]
        self.assertEqual([name for name, one in SETTINGS.items() if one.sent], names)

    def test_the_values_are_those_of_the_requirements(self) -> None:
        """MS-ASPROV R72, R245, R253, R257, R266, R272, R282, R288, R338, R145, and "Valid values [0,1]" of the rest."""
        path = shared_path() / "ms-eas" / "requirements" / "MS-ASPROV_RequirementSpecification.xml"
        found = re.findall(r"\[In (\w+)\] Valid values \[([-0-9,]+)\]", path.read_text(encoding="utf-8"))
        self.assertGreater(len(found), 25)
        by_lower = {name.lower(): one for name, one in SETTINGS.items()}
        for name, values in found:
            if name == "PolicyType":
                continue
            setting = by_lower[name.lower()]
            allowed = setting.choices or tuple(range(setting.low, setting.high + 1))
            self.assertEqual(allowed, tuple(map(int, values.split(","))), name)
        for name, low, high in (
            ("MaxDevicePasswordFailedAttempts", 4, 16),
            ("MinDevicePasswordLength", 1, 16),
            ("MinDevicePasswordComplexCharacters", 1, 4),
        ):
            self.assertEqual((SETTINGS[name].low, SETTINGS[name].high), (low, high))
        self.assertEqual(SETTINGS["MaxEmailBodyTruncationSize"].low, -1)

    def test_what_demands_nothing_is_a_value_of_the_setting(self) -> None:
        for name, one in SETTINGS.items():
            if one.nothing is not None:
                self.assertEqual(check_setting(f"{name}={one.nothing}"), (name, one.nothing))

    def test_ready_made_policies_are_valid_and_trimmed(self) -> None:
        for name, values in PRESETS.items():
            self.assertEqual(check_name(name), name)
            self.assertEqual(trimmed(values), dict(values))
            for key, value in values.items():
                self.assertEqual(check_setting(f"{key}={value}"), (key, value))
        self.assertLessEqual(FIXED, PRESETS.keys())


class ReadingTests(SynchronousTestCase):
    def test_a_setting_is_found_in_any_case(self) -> None:
        self.assertEqual(check_setting(" allowcamera = 0"), ("AllowCamera", 0))

    def test_nothing_behind_the_sign_takes_it_back(self) -> None:
        self.assertEqual(check_setting("MinDevicePasswordLength="), ("MinDevicePasswordLength", None))

    def test_a_list_of_texts(self) -> None:
        self.assertEqual(
            check_setting("UnapprovedInROMApplicationList=a.exe, b.exe"),
            ("UnapprovedInROMApplicationList", ("a.exe", "b.exe")),
        )

    def test_what_is_wrong_is_said(self) -> None:
        for text, words in (
            ("AllowCamera=2", "0 or 1"),
            ("AllowCamera=", ""),
            ("MaxDevicePasswordFailedAttempts=3", "4 to 16"),
            ("MaxCalendarAgeFilter=1", "0, 4, 5, 6, 7"),
            ("MinDevicePasswordLength=" + "9" * 40, "1 to 16"),
            ("MinDevicePasswordLength=four", "1 to 16"),
            ("AllowCamera", "AllowCamera=VALUE"),
            ("AlowCamera=0", 'did you mean "AllowCamera"'),
            ("Fly=1", 'no setting "Fly"'),
            ("ApprovedApplicationList=" + "x" * 300, "255"),
        ):
            if not words:
                continue
            with self.assertRaises(Malformed) as caught:
                check_setting(text)
            self.assertIn(words, caught.exception.public, text)

    @given(
        st.text(max_size=80)
        | st.builds("{}={}".format, st.sampled_from(sorted(SETTINGS)), st.text(max_size=20))
    )
    @settings(max_examples=100, deadline=None)
    def test_any_text_is_a_setting_or_malformed(self, text: str) -> None:
        try:
            name, value = check_setting(text)
        except Malformed:
            return
        self.assertTrue(value is None or trimmed({name: value}) in ({}, {name: value}))

    def test_names(self) -> None:
        self.assertEqual(check_name(" Sales-Team "), "sales-team")
        for name in ("", "a b", "x" * 41, "-x", "ä"):
            self.assertRaises(Malformed, check_name, name)

    def test_what_demands_nothing_or_is_unknown_is_left_out(self) -> None:
        kept = trimmed({"AllowCamera": 1, "MinDevicePasswordLength": None, "Later": 5, "AllowBluetooth": 0})
        self.assertEqual(kept, {"AllowBluetooth": 0})
