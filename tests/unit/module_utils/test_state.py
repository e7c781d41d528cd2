# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import os
import stat

import pytest
from ansible_collections.nettune.kernel.plugins.module_utils._state import Busy, State, StateError, write_atomically


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
    with state.locked(), pytest.raises(Busy), State(state.folder).locked(wait_seconds=0.05):
        pass
    with state.locked():
        pass


def test_damage_is_said_and_nothing_is_guessed(state):
    with open(state.path("a.json"), "w") as stream:
        stream.write('{"b": ')
    with pytest.raises(StateError, match="damaged"):
        state.read("a.json")


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


def test_a_planted_link_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "file").symlink_to(victim)
    write_atomically(str(tmp_path / "file"), b"new", 0o640)
    assert victim.read_text() == "untouched"
    assert (tmp_path / "file").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "file").lstat().st_mode) == 0o640
