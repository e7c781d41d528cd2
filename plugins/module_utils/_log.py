# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines in the host's own log (syslog, and so the journal), for whoever looks there first."""

import syslog


def log(sentence):
    syslog.openlog("nettune", 0, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_NOTICE, " ".join(sentence.split()))
