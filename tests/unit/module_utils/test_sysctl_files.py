# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.nettune.kernel.plugins.module_utils import _sysctl_files, _writers


def test_folders_in_their_order_and_each_file_once(tmp_path):
    first, second, merged = tmp_path / "etc", tmp_path / "usr", tmp_path / "lib"
    first.mkdir()
    second.mkdir()
    merged.symlink_to(second)
    (first / "b.conf").write_text("b = 1\n")
    (first / "a.conf").symlink_to("/dev/null")
    (first / "notes.txt").write_text("not a setting")
    (first / "folder.conf").mkdir()
    (second / "c.conf").write_bytes(b"c = \xff\n")
    last = tmp_path / "sysctl.conf"
    last.write_text("d = 1\n")
    found = _sysctl_files.read([str(first), str(tmp_path / "missing"), str(second), str(merged)], str(last))
    assert [(item["name"], item["text"], item["link"]) for item in found] == [
        ("a.conf", "", "/dev/null"),
        ("b.conf", "b = 1\n", None),
        ("folder.conf", None, None),
        ("c.conf", "c = \ufffd\n", None),
        ("sysctl.conf", "d = 1\n", None),
    ]


def test_writers_by_their_processes():
    found = _writers.find({"dockerd": 812, "haproxy": 900})
    docker = [writer for writer in found if writer["name"] == "docker"]
    assert "process 812 (dockerd)" in docker[0]["evidence"]
    assert "haproxy" not in [writer["name"] for writer in found]
