# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence for a host whose Python is too old.

Python 2 reads this file and the modules; what these import later it never sees.
"""

import sys

from ansible.module_utils.basic import AnsibleModule

_SENTENCE = (
    "nettune.kernel needs Python 3.6 or newer on the host, and %s is %d.%d: "
    "install python3 (on EL 7 the package of that name) and set ansible_python_interpreter to it"
)


def open_module(**declaration):
    """AnsibleModule(**declaration), on Python 3.6 or newer."""
    module = AnsibleModule(**declaration)
    if sys.version_info < (3, 6):
        module.fail_json(msg=_SENTENCE % (sys.executable, sys.version_info[0], sys.version_info[1]))
    return module
