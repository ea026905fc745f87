from __future__ import annotations

import pytest

from calltrack.errors import RejectRecord
from calltrack.mapping import blank, external_id, first, flag, kept, labels, link, text, whole

BLANKS = [
    None,
    "",
    "  ",
    "\t\n",
    "null",
    "NULL",
    " null ",
    "\x00",
    "[call_uuid]",
    " [caller_number] ",
    "[Call:InboundCallId]",
]


@pytest.mark.parametrize("value", BLANKS)
def test_blanks_are_missing(value):
    assert text(value) is None
    assert blank(value)


@pytest.mark.parametrize(
    "value", ["[TEST]", "[1]", "[]", "nullable", "Null & Sons", "[call_uuid] and more", "None", "0", "n"]
)
def test_what_only_looks_blank_is_text(value):
    assert text(value) == value
    assert not blank(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" a b ", "a b"),
        (22, "22"),
        (22.0, "22"),
        (0.5, "0.5"),
        (0, "0"),
        ("a\x00b", "ab"),
        (True, None),
        ({}, None),
        (["a"], None),
    ],
)
def test_text_is_trimmed_and_written_out(value, expected):
    assert text(value) == expected


def test_long_text_is_cut_and_a_long_link_is_none():
    assert text("é" * 501) == "é" * 500
    assert link("https://example.com/" + "a" * 3980) == "https://example.com/" + "a" * 3980
    assert link("https://example.com/" + "a" * 3981) is None


@pytest.mark.parametrize(
    ("value", "expected"), [([], True), ({}, True), ([0], False), (0, False), (False, False), (0.0, False)]
)
def test_an_empty_container_is_blank_and_a_zero_is_not(value, expected):
    assert blank(value) is expected


def test_first_skips_what_cannot_be_read():
    assert first(text, {"a": None, "b": "null", "c": "x", "d": "y"}, "a", "b", "missing", "c", "d") == "x"
    assert first(whole, {"a": "soon", "b": 0, "c": 5}, "a", "b", "c") == 0
    assert first(text, {}, "a") is None


def test_an_id_is_the_first_that_is_not_blank():
    assert external_id({"uuid": "[call_uuid]", "call_uuid": " c-1 "}, "uuid", "call_uuid") == "c-1"
    assert external_id({"id": 900001}, "id") == "900001"
    assert external_id({"id": "x" * 255}, "id") == "x" * 255


@pytest.mark.parametrize("value", [*BLANKS, True, [], {"id": 1}])
def test_a_record_without_an_id_is_rejected(value):
    with pytest.raises(RejectRecord) as rejected:
        external_id({"id": value}, "id")
    assert rejected.value.reason == "no_id"


def test_an_id_is_never_cut():
    with pytest.raises(RejectRecord) as rejected:
        external_id({"id": "x" * 256}, "id")
    assert rejected.value.reason == "id_too_long"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True), (False, False), (None, None), (1, True), (0, False), (1.0, True), ("true", True),
        ("FALSE", False), ("Converted", True), ("not converted", False), ("yes", True),
        ("", None), ("null", None), ("maybe", None), (2, None), ([], None),
    ],
)  # fmt: skip
def test_flags(value, expected):
    assert flag(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["b", "a", "b", None, " "], ["b", "a"]),
        ("first_call, retry,,", ["first_call", "retry"]),
        ([1, {"x": 1}], ["1"]),
        ([], None),
        ("", None),
        ({"a": 1}, None),
        (7, None),
    ],
)
def test_labels(value, expected):
    assert labels(value) == expected


def test_kept_leaves_blanks_out_and_values_alone():
    raw = {"a": "", "b": None, "c": False, "d": " x ", "e": [], "f": 0}
    assert kept(raw, "abcdefg") == {"c": False, "d": " x ", "f": 0}
