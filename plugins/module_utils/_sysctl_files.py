# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that set sysctls at boot, as they lie there: who wins is decided by whoever reads the facts."""

import os

from ._files import read_text

FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
# procps reads it last; systemd only where a link in sysctl.d leads to it.
LAST = "/etc/sysctl.conf"


def read(folders=FOLDERS, last=LAST):
    """[{path, name, text, link}]: text is null where it cannot be read or is too long; link is where a link leads."""
    files = []
    seen = set()
    for folder in folders:
        # On merged systems /lib is /usr/lib.
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        files += [_read(os.path.join(folder, name)) for name in names if name.endswith(".conf")]
    if os.path.lexists(last):
        files.append(_read(last))
    return files


def _read(path):
    link = None
    if os.path.islink(path):
        link = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    # A link to /dev/null masks the files of the same name in the folders after it: an empty text.
    regular = link == os.devnull or os.path.isfile(path)
    return {"path": path, "name": os.path.basename(path), "text": read_text(path) if regular else None, "link": link}
