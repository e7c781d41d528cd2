# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from ansible_collections.nettune.kernel.plugins.module_utils import _sysctl_file


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/etc/sysctl.d/../passwd", "/etc/sysctl.d/90-nettune", "/etc/sysctl.d/.conf", "90-nettune.conf"],
)
def test_only_files_that_systemd_reads(path):
    with pytest.raises(_sysctl_file.BadFile, match="/etc/sysctl"):
        _sysctl_file.check_path(path)


def test_the_pending_file_comes_behind_the_confirmed_one_and_is_not_hidden_by_it():
    confirmed = "/etc/sysctl.d/90-nettune.conf"
    pending = _sysctl_file.run_path(confirmed)
    assert pending.startswith("/run/sysctl.d/")
    names = [path.rpartition("/")[2] for path in (confirmed, pending)]
    assert names[0] != names[1]
    assert names == sorted(names)


def test_snapshot_and_restore_keep_bytes_mode_and_absence(tmp_path):
    path = tmp_path / "file"
    absent = _sysctl_file.snapshot(str(path))
    assert absent is None
    path.write_bytes(b"\xff\x00old")
    path.chmod(0o640)
    shot = _sysctl_file.snapshot(str(path))
    _sysctl_file.write(str(path), "new", shot)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    _sysctl_file.restore(str(path), shot)
    assert path.read_bytes() == b"\xff\x00old"
    _sysctl_file.restore(str(path), absent)
    assert not path.exists()


def test_what_is_no_plain_file_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(_sysctl_file.BadFile, match="not a plain file"):
        _sysctl_file.snapshot(str(tmp_path / "link"))
