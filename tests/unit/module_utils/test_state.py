# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os
import stat

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._state import (
    Busy,
    Damaged,
    NotSynced,
    State,
    StateError,
    write_atomically,
)


@pytest.fixture
def state(tmp_path):
    made = State(str(tmp_path / "state"))
    made.prepare()
    return made


def test_documents_come_back(state):
    state.write("a.json", {"b": [1, None]})
    assert state.read("a.json") == {"b": [1, None]}
    state.remove("a.json")
    assert state.read("a.json", "nothing") == "nothing"


def test_the_folder_is_for_its_owner_alone(state):
    assert stat.S_IMODE(os.stat(state.folder).st_mode) == 0o700
    os.chmod(state.folder, 0o755)
    state.prepare()
    assert stat.S_IMODE(os.stat(state.folder).st_mode) == 0o700


def test_a_link_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="not a folder"):
        State(str(tmp_path / "state")).prepare()


def test_one_writer_at_a_time(state):
    with state.locked(1), pytest.raises(Busy), State(state.folder).locked(wait_seconds=0.05):
        pass
    with state.locked(1):
        pass


# Like a journal: numbers and words whose other values would be as good JSON.
DOCUMENT = {"deadline": 4711.25, "before": {"net.ipv4.tcp_fin_timeout": "60"}, "phase": "on_trial", "file": None}


def damaged(data):
    """Every byte flipped in each bit, made another figure, left out; and every shorter file."""
    for place, byte in enumerate(data):
        for other in {byte ^ 1 << bit for bit in range(8)} | {ord("7")} - {byte}:
            yield data[:place] + bytes([other]) + data[place + 1 :]
        yield data[:place] + data[place + 1 :]
        yield data[:place]


def test_damage_of_any_byte_is_found_and_said(state):
    state.write("a.json", DOCUMENT)
    with open(state.path("a.json"), "rb") as stream:
        data = stream.read()
    for bad in damaged(data):
        with open(state.path("a.json"), "wb") as stream:
            stream.write(bad)
        with pytest.raises(Damaged, match=r"compare the values in /proc/sys with the files in /etc/sysctl\.d, then"):
            state.read("a.json")
    with open(state.path("a.json"), "wb") as stream:
        stream.write(data)
    assert state.read("a.json") == DOCUMENT


def test_a_document_is_json_for_people_too(state):
    state.write("a.json", DOCUMENT)
    with open(state.path("a.json")) as stream:
        assert json.load(stream)["document"] == DOCUMENT


def test_what_is_damaged_and_does_not_matter_counts_as_empty_and_is_kept(state):
    for _look in range(2):
        with open(state.path("history.json"), "w") as stream:
            stream.write("garbage")
        assert state.read_undamaged("history.json", []) == []
        assert state.warnings == [state.path("history.json") + " is damaged and counts as empty"]
    state.keep_damaged("history.json")
    state.write("history.json", [1])
    state.keep_damaged("history.json")
    assert state.read_undamaged("history.json", []) == [1]
    with open(state.path("history.json.damaged")) as stream:
        assert stream.read() == "garbage"


def test_what_cannot_be_read_is_neither_absent_nor_damaged(state):
    os.mkdir(state.path("a.json"))
    with pytest.raises(StateError, match=r"cannot read .*a\.json: Is a directory") as problem:
        state.read("a.json")
    assert not isinstance(problem.value, Damaged)


def test_a_failed_write_leaves_the_old_bytes_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(str(path), b"new")
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["file"]


def test_a_folder_that_cannot_be_synced_is_told_apart(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    fsync = os.fsync

    def failing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(NotSynced, match="Input/output error"):
        write_atomically(str(path), b"new")
    assert path.read_text() == "new"
    assert os.listdir(str(tmp_path)) == ["file"]


def test_a_planted_link_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "file").symlink_to(victim)
    write_atomically(str(tmp_path / "file"), b"new", 0o640)
    assert victim.read_text() == "untouched"
    assert (tmp_path / "file").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "file").lstat().st_mode) == 0o640
