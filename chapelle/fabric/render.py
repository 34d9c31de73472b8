"""From what a switch shall do to the text of our sections, by its platform's templates.

Templates hold the words of a platform and its order of lines; what needs thought is thought in
`intent`, or here when it is a matter of text. A template may not use a name that does not exist.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from chapelle.errors import ChapelleError
from chapelle.fabric import allocation
from chapelle.fabric.neighbours import inbound, neighbours, outbound
from chapelle.fabric.platforms import platform
from chapelle.fabric.switch import Attachment, FabricPort, Handoff, Segment, Switch
from chapelle.model.datacentre import VTEP_ROLES

TEMPLATES = Path(__file__).parent / "templates"

# Seconds for which a switch that starts keeps the groups down that other switches have too, so that
# it gets no traffic before it knows the routes. FRRouting's own value is three minutes.
STARTUP_DELAY = 30

# Bytes of the longest IP packet between switches: a server's 9000, the 50 of VXLAN, and room.
FABRIC_MTU = 9216


class Bfd(msgspec.Struct, frozen=True, kw_only=True):
    """How soon a neighbour that says nothing is given up (RFC 5880): two seconds.

    The daemons of FRRouting share the CPU with BGP: shorter times give up neighbours that are busy.
    """

    multiplier: int = 4
    milliseconds: int = 500


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """One physical port, as templates show it.

    `uplink` says that it leads to another switch of the fabric, `handoff` that a tenant routes
    there, `attachment` what else it leads to; `unused` that it leads nowhere. `number` is that of
    its name.
    """

    name: str
    number: int
    peer: str = ""
    peer_port: str = ""
    uplink: bool = False
    handoff: Handoff | None = None
    attachment: Attachment | None = None

    @property
    def unused(self) -> bool:
        """Whether it leads nowhere, and is shut down."""
        return not self.peer


def render(switch: Switch, templates: Path = TEMPLATES) -> str:
    """The text of our sections, in the order of the device; it ends with a newline.

    Arguments:
        switch: what it shall do.
        templates: the folder with one folder a platform in it.

    Raises:
        InputError: its platform is unknown.
        ChapelleError: a template of the platform is broken; the message names it and the line.
    """
    slug = platform(switch.platform, where=f"switch {switch.name}").slug
    name = f"{slug}/switch.j2"
    try:
        return environment(templates).get_template(name).render(context(switch))
    except jinja2.TemplateSyntaxError as error:
        raise _broken(error.name or name, error.lineno, error.message or "") from error
    except jinja2.TemplateError as error:
        place, line = _place(error, templates) or (name, None)
        raise _broken(place, line, error.message or str(error)) from error


def context(switch: Switch) -> Mapping[str, Any]:
    """What the templates of every platform see."""
    return {
        "switch": switch,
        "ports": ports(switch),
        "groups": tuple(one for one in switch.attachments if one.group),
        "segments": tuple(one for one in switch.attachments if one.segment),
        "routed": tuple(vlan for vlan in switch.vlans if vlan.gateways),
        "six": _six(switch),
        "neighbours": neighbours(switch),
        "inbound": inbound(switch),
        "outbound": outbound(switch),
        "vids": (1, *(vlan.vid for vlan in switch.vlans)),
        "vtep": switch.role in VTEP_ROLES,
        "bfd": Bfd(),
        "startup_delay": STARTUP_DELAY,
        "fabric_mtu": FABRIC_MTU,
    }


def ports(switch: Switch) -> tuple[Port, ...]:
    """All ports of the switch that are ours, by number."""
    found = [Port(name=name, number=_number(name)) for name in switch.unused]
    found += [
        Port(
            name=port.name,
            number=_number(port.name),
            peer=port.peer,
            peer_port=port.peer_port,
            uplink=True,
        )
        for port in switch.fabric
    ]
    found += [
        Port(
            name=one.name,
            number=one.number,
            peer=one.peer,
            peer_port=one.peer_port,
            handoff=one,
        )
        for one in switch.handoffs
    ]
    found += [
        Port(
            name=name,
            number=_number(name),
            peer=one.peer,
            peer_port=one.peer_port,
            attachment=one,
        )
        for one in switch.attachments
        for name in one.ports
    ]
    return tuple(sorted(found, key=lambda port: (port.number, port.name)))


def _six(switch: Switch) -> list[str]:
    """The VRFs in which the switch has IPv6 addresses."""
    found = [(vlan.vrf or "", address) for vlan in switch.vlans for address in vlan.gateways]
    found += [(one.vrf, session.local) for one in switch.handoffs for session in one.sessions]
    return sorted({vrf for vrf, address in found if ":" in address})


@cache
def environment(
    templates: Path, kind: type[jinja2.Environment] = jinja2.Environment
) -> jinja2.Environment:
    """The Jinja environment of a folder of templates."""
    made = kind(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters.update(dotted=dotted, esi=esi, ranges=ranges, runs=runs)
    return made


# -- how platforms write things -------------------------------------------------------------------


def dotted(mac: str) -> str:
    """A MAC address as `0201.0a43.0001`."""
    digits = mac.replace(":", "")
    return ".".join(digits[i : i + 4] for i in range(0, 12, 4))


def esi(segment: Segment) -> str:
    """The identifier of a segment as `0002:020a:4300:0100:0001`, of type 0: one that is entered."""
    digits = allocation.identifier(segment.system_mac, segment.number, 0).hex()
    return ":".join(digits[i : i + 4] for i in range(0, 20, 4))


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as `101,201-203`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)


def runs(ports: Iterable[FabricPort]) -> list[tuple[str, int]]:
    """Ports in a row with neighbours of one AS number, as EOS writes them: `Et49-52`, number."""
    found: list[tuple[list[int], int]] = []
    for port in sorted(ports, key=lambda port: _number(port.name)):
        number = _number(port.name)
        if found and found[-1][1] == port.peer_asn and found[-1][0][-1] == number - 1:
            found[-1][0].append(number)
        else:
            found.append(([number], port.peer_asn))
    return [(f"Et{ranges(numbers)}", asn) for numbers, asn in found]


def _number(name: str) -> int:
    match = re.search(r"(\d+)$", name)
    return int(match[1]) if match else 0


def _place(error: BaseException, templates: Path) -> tuple[str, int] | None:
    """The template and the line of it in which an error arose, from the traceback."""
    found, step = None, error.__traceback__
    while step is not None:
        path = Path(step.tb_frame.f_code.co_filename)
        if path.is_relative_to(templates):
            found = str(path.relative_to(templates)), step.tb_lineno
        step = step.tb_next
    return found


def _broken(name: str, line: int | None, found: str) -> ChapelleError:
    return ChapelleError(
        "A template of a switch's configuration is broken; nothing was rendered.",
        where=f"templates/{name}" + (f", line {line}" if line else ""),
        expected="a template that uses only what it is given",
        found=found,
        remedy="mend the template; the golden configurations show what it should give",
    )
