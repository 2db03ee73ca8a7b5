"""When the list of formats is known, and when nbconvert must say."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from conjured_server.exports import CLASSES, KNOWN, known

FOUND = [EntryPoint(name, CLASSES + c, "nbconvert.exporters") for name, (c, _) in KNOWN.items()]


def test_the_list() -> None:
    answer = known(FOUND, {"ServerApp": {}}, {})
    assert answer is not None
    assert answer["html"] == {"output_mimetype": "text/html"} and len(answer) == len(FOUND)


def test_when_nbconvert_must_say() -> None:
    mine = EntryPoint("mine", "teacher:Exporter", "nbconvert.exporters")
    assert known([*FOUND, mine], {}, {}) is None, "one more"
    assert known(FOUND[1:], {}, {}) is None, "one less"
    assert known([*FOUND[1:], EntryPoint(FOUND[0].name, "teacher:E", "")], {}, {}) is None, "another class"
    assert known(FOUND, {"HTMLExporter": {"enabled": False}}, {}) is None, "set up by the teacher"
    assert known(FOUND, {}, {"NBCONVERT_DISABLE_CONFIG_EXPORTERS": "1"}) is None
