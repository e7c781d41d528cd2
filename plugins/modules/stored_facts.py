# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: stored_facts
short_description: Keep the facts of a host in a file of the controller, and read them without the host
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - With O(facts), stores them as C(HOST.json) in O(directory). A file that holds them already stays as it is.
  - Without O(facts), returns what is stored. The file holds the bare facts, or C({"nettune":) facts C(}), or
    C({"ansible_facts":) C({"nettune":) facts C(}}), as Ansible's fact caches and module results have them.
  - In the name of the file, characters that file names cannot hold are percent-encoded.
options:
  directory:
    description:
      - Folder on the controller; it is made where it is missing.
      - Without it the facts come from C(ansible_facts.nettune) of the host, which Ansible's fact cache may hold.
    type: str
  facts:
    description: Facts of M(nettune.kernel.net_facts) to store.
    type: dict
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.controller
attributes:
  check_mode:
    support: partial
    details:
      - Reads, but stores nothing.
  diff_mode:
    support: none
seealso:
  - module: nettune.kernel.net_facts
  - module: nettune.kernel.sysctl_validate
"""

EXAMPLES = r"""
- name: Read what the host is
  nettune.kernel.net_facts:

- name: Keep it for validation in CI
  nettune.kernel.stored_facts:
    directory: facts
    facts: "{{ ansible_facts.nettune }}"

- name: Read it again, without the host
  nettune.kernel.stored_facts:
    directory: facts
  register: stored
"""

RETURN = r"""
facts:
  description: The facts, as M(nettune.kernel.net_facts) returned them.
  returned: where they are read
  type: dict
path:
  description: The file.
  returned: where they are stored
  type: str
"""
