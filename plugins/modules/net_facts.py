# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: net_facts
short_description: Facts about the kernel network stack of a host
version_added: 0.1.0
author: nettune.kernel contributors (@nettune)
description:
  - Reads everything that decides whether a set of network sysctls suits a host, in one quick call that starts no
    process on most hosts and changes nothing.
  - What cannot be found out is missing or null, which means unknown. It never means no.
  - Works without privileges too, and then lists under C(unreadable) what it could not see.
options:
  subset:
    description:
      - V(all) reads everything.
      - V(counters) reads only what changes while a host is watched. It takes about a millisecond.
    type: str
    choices: [all, counters]
    default: all
extends_documentation_fragment:
  - nettune.kernel.attributes
  - nettune.kernel.attributes.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - Changes nothing, so there is no difference to show.
seealso:
  - module: nettune.kernel.sysctl_validate
  - module: nettune.kernel.sysctl_trial
notes:
  - Nobody can prove from a host that no clients behind NAT reach it, so C(clients_behind_nat) is either true, with
    its evidence, or missing.
  - On kernels with C(tcp_diag) as a module, that module gets loaded, as by C(ss).
"""

EXAMPLES = r"""
- name: Read everything
  nettune.kernel.net_facts:

- name: Show the congestion control in use
  ansible.builtin.debug:
    msg: "{{ ansible_facts.nettune.sysctl['net.ipv4.tcp_congestion_control'] }}"

- name: Read only the counters, again and again
  nettune.kernel.net_facts:
    subset: counters
"""

RETURN = r"""
ansible_facts:
  description: The facts, under one name.
  returned: always
  type: dict
  contains:
    nettune:
      description:
        - The facts. Stored as they are, they serve as O(nettune.kernel.sysctl_validate#module:facts).
      type: dict
      returned: always
      contains:
        kernel:
          description:
            - C(release) as of uname, C(version) its three numbers, C(vendor) the ID of os-release.
            - C(timestamp_offset_per_tuple) is true where every connection has a timestamp offset of its own, false
              where one pair of addresses shares one or there is none, null where the kernel hides its symbols.
          type: dict
          returned: always
          sample:
            release: 4.18.0-553.el8.x86_64
            version: [4, 18, 0]
            vendor: rhel
            timestamp_offset_per_tuple: false
        boot_id:
          description: Differs after each boot. Counters of different boots cannot be compared.
          type: str
          returned: where readable
        uptime_seconds:
          description: Seconds since boot, with those in suspend.
          type: float
          returned: always
        counters:
          description:
            - Counters of C(/proc/net/snmp) and C(/proc/net/netstat) by group. An absent name is one that the kernel
              lacks.
          type: dict
          returned: always
          sample:
            TcpExt:
              PAWSEstab: 0
              ListenDrops: 12
        sockstat:
          description: Numbers of C(/proc/net/sockstat) and C(sockstat6) by group.
          type: dict
          returned: always
          sample:
            TCP:
              inuse: 20
              tw: 114
        sample:
          description: The counters that the guard and the gate watch, with the moment and the boot that they belong to.
          type: dict
          returned: always
          contains:
            time:
              description: Seconds on CLOCK_BOOTTIME.
              type: float
              returned: always
            boot_id:
              description: The boot that the counters belong to.
              type: str
              returned: always
            counters:
              description: Numbers by flat name.
              type: dict
              returned: always
              sample:
                TcpExt.PAWSEstab: 0
        unreadable:
          description: What could not be read, and why. Each entry has C(what) and C(reason).
          type: list
          elements: dict
          returned: always
        memory_bytes:
          description: Memory of the machine.
          type: int
          returned: with O(subset=all)
        page_size:
          description: Bytes in a page, the unit of C(tcp_mem) and C(udp_mem).
          type: int
          returned: with O(subset=all)
        cpus:
          description: Processors that are online.
          type: int
          returned: with O(subset=all)
        interfaces:
          description:
            - Network interfaces with C(name), C(kind) (null for hardware), C(mtu), C(speed_mbps) (null if unknown),
              C(state) and C(addresses).
          type: list
          elements: dict
          returned: with O(subset=all)
          sample:
            - name: eth0
              kind: null
              mtu: 1500
              speed_mbps: 10000
              state: up
              addresses: [192.0.2.10/24]
        sysctl:
          description: Every C(net) sysctl with its value, whitespace reduced to one space.
          type: dict
          returned: with O(subset=all)
          sample:
            net.ipv4.tcp_rmem: 4096 131072 6291456
            net.ipv4.conf.eth0/100.rp_filter: "2"
        sysctl_read_only:
          description: Keys that exist and that nobody can write here.
          type: list
          elements: str
          returned: with O(subset=all)
        sysctl_unreadable:
          description: Keys that exist but show no value, such as triggers. They are not in C(sysctl).
          type: list
          elements: str
          returned: with O(subset=all)
        sysctl_complete:
          description:
            - Whether a key that is neither in C(sysctl) nor in C(sysctl_unreadable) does not exist on this host.
          type: bool
          returned: with O(subset=all)
        sockets:
          description:
            - C(tcp) holds the number of TCP sockets by state, IPv4 and IPv6 together. C(complete) is false where
              there are so many that only a part was looked at.
            - C(incoming) tells of the connections to listening ports how many there are, from how many addresses, and
              which have most.
          type: dict
          returned: with O(subset=all)
          sample:
            tcp:
              ESTABLISHED: 12
              TIME_WAIT: 114
            complete: true
            incoming:
              connections: 120
              addresses: 2
              top:
                - address: 192.0.2.1
                  connections: 119
                - address: 192.0.2.7
                  connections: 1
        listeners:
          description:
            - Sockets that wait for anybody, each with C(protocol) (C(tcp) or C(udp)), C(address) and C(port).
            - Those of TCP have C(backlog) too, how many connections may wait for the program to accept them, and
              C(queued), how many do now; null where the kernel does not say. Of several sockets that share address and
              port, the shortest backlog and the fullest queue are told.
          type: list
          elements: dict
          returned: with O(subset=all)
          sample:
            - protocol: tcp
              address: 0.0.0.0
              port: 22
              backlog: 128
              queued: 0
        service_manager:
          description: C(systemd) or C(other).
          type: str
          returned: with O(subset=all)
        virtualization:
          description:
            - C(container) names the kind of container, null where nothing says that it is one.
            - C(own_network_namespace) is whether this is another network namespace than the machine's first one, null
              if unknown.
          type: dict
          returned: with O(subset=all)
          sample:
            container: null
            own_network_namespace: false
        sysctl_files:
          description:
            - The files of all C(sysctl.d) folders and C(/etc/sysctl.conf), each with C(path), C(name), C(text) and
              C(link).
            - C(link) is where a link leads, null for other files. C(text) is null where it could not be read or is
              too long.
          type: list
          elements: dict
          returned: with O(subset=all)
          sample:
            - path: /etc/sysctl.d/10-network.conf
              name: 10-network.conf
              text: "net.core.somaxconn = 4096\n"
              link: null
        trial:
          description:
            - The trial that is pending on the host, with C(rollout_id), C(by), C(keys) and C(deadline_epoch). It is
              null where there is none.
          type: dict
          returned: with O(subset=all)
          sample:
            rollout_id: 20261121T090000Z-ab12
            by: root from 192.0.2.1
            keys: [net.ipv4.tcp_fin_timeout]
            deadline_epoch: 1795251600.0
        writers:
          description: Other programs on the host that write network sysctls, each with C(name) and C(evidence).
          type: list
          elements: dict
          returned: with O(subset=all)
          sample:
            - name: tuned
              evidence: "/etc/tuned/active_profile: throughput-performance"
        topology:
          description:
            - Signs of the place in the network, each with C(value), C(confidence) (low, medium or high) and
              C(evidence), a list of C(fact) and C(seen_at).
            - C(front) and C(clients_behind_nat) are one such sign, C(role) and C(vips) are lists of them. A name
              without any sign is missing.
          type: dict
          returned: with O(subset=all)
          sample:
            front:
              value: lvs_dr
              confidence: high
              evidence:
                - fact: 192.0.2.100/32 on lo
                  seen_at: address list
                - fact: effective arp_ignore 1, arp_announce 2
                  seen_at: net.ipv4.conf.eth0.arp_*
"""

from ansible_collections.nettune.kernel.plugins.module_utils._modern_python import open_module


def main():
    module = open_module(
        argument_spec={"subset": {"type": "str", "choices": ["all", "counters"], "default": "all"}},
        supports_check_mode=True,
    )
    from ansible_collections.nettune.kernel.plugins.module_utils._net_facts import collect

    module.exit_json(changed=False, ansible_facts={"nettune": collect(module.params["subset"])})


if __name__ == "__main__":
    main()
