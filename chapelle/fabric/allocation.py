"""Numbers that NetBox does not hold because they follow from those that it does.

All come from a switch's loopback address or from a port number, and from nothing else: a new rack,
aisle or tenant changes none of them. MAC addresses are locally administered unicast ones (IEEE
802-2014, 8.4.4.1): 02:01 routers, 02:02 Ethernet segments, 02:03 the gateways.
"""

import ipaddress

# The same on every switch and in every VLAN: a server that moves finds the gateway that it knew.
GATEWAY_MAC = "02:03:00:00:00:01"


def _mac(kind: int, loopback: str) -> str:
    octets = bytes([0x02, kind]) + ipaddress.IPv4Address(loopback).packed
    return octets.hex(":")


def router_mac(loopback: str) -> str:
    """The MAC address of a switch's routed VXLAN traffic; all its VRFs have the same."""
    return _mac(1, loopback)


def segment_mac(loopback: str) -> str:
    """The system MAC of the Ethernet segments of a pair; `loopback` is that of its first switch."""
    return _mac(2, loopback)


def distinguisher(loopback: str, vni: int) -> str:
    """The route distinguisher of a VNI on a switch (RFC 4364, 4.2, type 1)."""
    return f"{loopback}:{vni}"


def identifier(system_mac: str, number: int, kind: int) -> bytes:
    """The ten octets of an Ethernet segment identifier (RFC 7432, 5).

    Arguments:
        system_mac: the segment's MAC.
        number: the segment's number, below 2^24.
        kind: 3 where the switch makes the identifier from MAC and number, 0 where it is entered.
    """
    return bytes([kind]) + bytes.fromhex(system_mac.replace(":", "")) + number.to_bytes(3)
