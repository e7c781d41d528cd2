#!/bin/sh
# Copyright: (c) 2026, nettune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Two clients behind one NAT address; the server is the machine itself, as some keys were global once.
#
#   client1, client2 (192.168.N.2) --- nat (192.0.2.2) --- 192.0.2.1
set -e

ip netns add nat
ip link add nat type veth peer name outside netns nat
ip address add 192.0.2.1/24 dev nat
ip link set nat up
ip -n nat address add 192.0.2.2/24 dev outside
ip -n nat link set outside up
for n in 1 2; do
    ip netns add "client$n"
    ip -n nat link add "client$n" type veth peer name nat netns "client$n"
    ip -n nat address add "192.168.$n.1/24" dev "client$n"
    ip -n nat link set "client$n" up
    ip -n "client$n" address add "192.168.$n.2/24" dev nat
    ip -n "client$n" link set nat up
    ip -n "client$n" route add default via "192.168.$n.1"
done
ip netns exec nat sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
# Kernels before 4.18 translate no answer without the empty chain.
ip netns exec nat nft -f - << 'NFT'
table ip translate {
    chain arriving { type nat hook prerouting priority -100; }
    chain leaving { type nat hook postrouting priority 100; oifname "outside" masquerade; }
}
NFT
