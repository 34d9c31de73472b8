"""What the kernel of a switch with FRRouting has, beside what is configured."""

from collections import defaultdict

import msgspec

from chapelle.checks.tenancy.isolation.running.words import leak, unique
from chapelle.model.isolation import Door, Lan, Reading, Table
from chapelle.model.switch import Kernel


def with_kernel(reading: Reading, kernel: Kernel) -> Reading:
    """What a switch does by its configuration, and by its kernel too.

    A route that BGP brings because the configuration says so is not told twice.
    """
    return msgspec.structs.replace(
        reading,
        doors=(*reading.doors, *_doors(kernel)),
        lans=tuple(_lans(reading, kernel)),
        tables=tuple(_tables(reading, kernel)),
    )


def _doors(kernel: Kernel) -> list[Door]:
    """The ports of bridges that lead out: neither VXLAN devices nor bridges themselves."""
    found: dict[str, Door] = {}
    for one in kernel.bridged:
        if one.port in kernel.vnis or one.port in kernel.bridges:
            continue
        ports = kernel.members.get(one.port, (one.port,))
        door = found.get(one.port, Door(ports=ports))
        if one.untagged:
            door = msgspec.structs.replace(door, untagged=one.vid)
        else:
            door = msgspec.structs.replace(door, tagged=door.tagged | {one.vid})
        found[one.port] = door
    return list(found.values())


def _lans(reading: Reading, kernel: Kernel) -> list[Lan]:
    known = {lan.vid: lan for lan in reading.lans}
    tables: dict[int, set[str]] = defaultdict(set)
    for vid, table in kernel.gateways:
        tables[vid].add(table)
    vnis = {one.vid: kernel.vnis[one.port] for one in kernel.bridged if one.port in kernel.vnis}
    vids = {one.vid for one in kernel.bridged} | set(tables)
    for vid in vids:
        lan = known.get(vid, Lan(vid=vid))
        known[vid] = msgspec.structs.replace(
            lan,
            vni=lan.vni if lan.vni is not None else vnis.get(vid),
            tables=tuple(sorted({*lan.tables, *tables[vid]})),
        )
    return [known[vid] for vid in sorted(known)]


def _tables(reading: Reading, kernel: Kernel) -> list[Table]:
    known = {table.name: table for table in reading.tables}
    for route in kernel.routes:
        table = known.get(route.table, Table(name=route.table))
        if route.into not in {
            one.into for one in table.leaks if not one.words.startswith("kernel")
        }:
            leaks = unique((*table.leaks, leak(route.into, route.words)))
            known[route.table] = msgspec.structs.replace(table, leaks=leaks)
    return [known[name] for name in sorted(known)]
