"""JSON is read as its values, each with the keys that lead to it, and records stay whole."""

import json

import pytest

from groundwork.ingest.jsontext import json_text


def test_values_are_named_by_the_keys_that_lead_to_them() -> None:
    text = '{"name": "Ledger", "version": 1.10, "server": {"host": "é.example", "ports": [80, 443]}, "debug": false}'
    assert json_text(text) == (
        "name: Ledger\nversion: 1.10\n\nserver.host: é.example\nserver.ports: 80, 443\n\ndebug: false"
    )


def test_each_record_is_a_line() -> None:
    text = '[{"id": 1, "city": {"name": "Bonn"}}, {"id": 2, "tags": ["a", "b"], "orders": [{"n": 7}, {"n": null}]}]'
    assert json_text(text) == "id: 1; city.name: Bonn\nid: 2; tags: a, b; orders[1].n: 7; orders[2].n: null"
    assert json_text('{"a": 1}\n{"a": 2}\n') == "a: 1\na: 2"
    assert json_text('{"rows": [{"a": 1, "b": 2}, {"a": 3}]}') == "rows[1] > a: 1; b: 2\nrows[2] > a: 3"


def test_a_long_record_is_a_paragraph_of_its_own() -> None:
    text = json.dumps([{"id": 1, "body": "word " * 100}, {"id": 2, "body": "two\nlines"}])
    paragraphs = json_text(text).split("\n\n")
    assert [paragraph.split("\n")[0] for paragraph in paragraphs] == ["id: 1", "id: 2"]


@pytest.mark.parametrize(
    "text",
    ["{broken", "", '"words"', "42", "[]", "{}", "[" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000],
)
def test_what_has_no_keys_or_makes_no_sense_stays_as_it_is(text: str) -> None:
    assert json_text(text) == text


def test_nothing_is_lost_of_keys_that_are_there_twice() -> None:
    assert json_text('{"a": 1, "a": 2}') == "a: 1\na: 2"


def test_a_small_file_never_makes_a_huge_text() -> None:
    deep = '{"k' + "k" * 500 + '":'
    text = deep * 200 + "[" + ",".join('{"a":1}' for _ in range(20_000)) + "]" + "}" * 200
    assert len(json_text(text)) <= 4 * len(text)
