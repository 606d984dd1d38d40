"""The Procfile, and the supervisor configuration made from it."""

from __future__ import annotations

import configparser
import shlex

import pytest

from mlsd_app.core.presence import QUEUES
from mlsd_app.core.processes import ProcfileError, environment, interactive_slots, read_procfile, supervisor_config, wanted_processes


def test_words_are_split_as_a_shell_would_and_names_filled_in() -> None:
    found = read_procfile('# comment\n\nredis: redis-server --save "" --dir $VAR\n', {"VAR": "/a folder"})
    assert found == {"redis": ["redis-server", "--save", "", "--dir", "/a folder"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web uvicorn", "line 1"),
        ("web: a\nweb: b", "a second time"),
        ("web: a\n\nworker: run $NOWHERE", "line 3.*NOWHERE"),
        ("Web: a", "lower case"),
    ],
)
def test_a_bad_line_is_named(text: str, said: str) -> None:
    with pytest.raises(ProcfileError, match=said):
        read_procfile(text, {})


def test_every_queue_has_a_worker_and_measurements_have_one_slot() -> None:
    workers = [command for command in wanted_processes(environment()).values() if command[0] == "celery"]
    consumed = sorted(command[command.index("-Q") + 1] for command in workers)
    assert consumed == sorted(QUEUES)
    measure = next(command for command in workers if "measure" in command)
    assert measure[measure.index("-c") + 1] == "1"
    assert sum("-B" in command for command in workers) == 1, "two beats would send every periodic task twice"


def test_redis_is_started_only_without_a_redis_url(settings: object) -> None:
    settings.EMBEDDED_REDIS = True  # type: ignore[attr-defined]
    assert "redis" in wanted_processes(environment())
    settings.EMBEDDED_REDIS = False  # type: ignore[attr-defined]
    assert "redis" not in wanted_processes(environment())


def test_commands_survive_the_configuration_file() -> None:
    command = ["program", "100%", "two words", "it's"]
    parsed = configparser.RawConfigParser()
    parsed.read_string(supervisor_config({"redis": ["redis-server"], "web": command}))
    stored = parsed["program:web"]["command"].replace("%%", "%")
    assert shlex.split(stored)[2:] == command
    assert parsed["group:site"]["programs"] == "web", "Redis is no member: it stops after those who use it"
    assert int(parsed["program:redis"]["priority"]) < int(parsed["program:web"]["priority"])


def test_two_slots_at_least_and_some_cores_left_for_the_rest() -> None:
    slots = [interactive_slots(cores) for cores in range(1, 65)]
    assert min(slots) == 2 and max(slots) == 8 and slots == sorted(slots)
