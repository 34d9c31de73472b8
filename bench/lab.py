"""How fast the lab starts, and what a node weighs, beside a plain shell loop in the same run.

    .venv/bin/python bench/lab.py [20 75 300]

The peer is what one would write first: for each node an overlay, `ip netns add`, `ip link add`,
and systemd-nspawn in the background, of the same root image and with the same disks. Both are timed
until every node's sshd presents itself. Memory is what the processes hold (PSS), and what the
machine had available before and after.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "lab")]

import handmade  # noqa: E402
import msgspec  # noqa: E402

from chapelle import lab  # noqa: E402
from chapelle.lab import ca, cgroup, image, limits, node, spec, wires  # noqa: E402
from chapelle.lab.knocking import Knocking  # noqa: E402
from chapelle.settings import Settings  # noqa: E402

PEER = """
set -eu
while read -r name bridge mac; do
  home={nodes}/$name
  mount -t overlay overlay -o lowerdir={image},upperdir=$home/layer,workdir=$home/work $home/root
  ip netns add {prefix}-$name
  ip -n {hub} link add v$name type veth peer name eno1 address $mac netns {prefix}-$name
  ip -n {hub} link set v$name master $bridge up
  (
    for base in {bases}; do
      mkdir -p $base/$name
      sh -c 'echo $PPID' >$base/$name/cgroup.procs
    done
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --register=no --keep-unit \
      --machine={prefix}-$name --directory=$home/root --resolv-conf=off --timezone=off \
      --network-namespace-path=/run/netns/{prefix}-$name --capability=CAP_NET_ADMIN \
      --link-journal=no --console=read-only --boot >$home/console.log 2>&1 </dev/null
  ) &
done
"""


def main() -> None:
    """Print a row for each size and each way."""
    sizes = [int(text) for text in sys.argv[1:]] or [20, 75, 300]
    settings = Settings.load()
    image.ensure(settings, print)  # so that no clock runs meanwhile
    # `ip netns` changes the table of mounts for good: that of this process only.
    wires.own_mounts([])
    print(f"{'nodes':>5}  {'way':<10} {'seconds':>8} {'s/node':>7} {'PSS MB':>7} {'avail MB':>8}")
    for size in sizes:
        for way, up, down in (("shell", peer_up, peer_down), ("chapelle", our_up, lab.down)):
            state = Path(tempfile.mkdtemp(prefix="chapelle-bench-", dir=Path.cwd().anchor + "tmp"))
            try:
                own = msgspec.structs.replace(settings, state=state)
                row(way, own, size, up, down)
            finally:
                shutil.rmtree(state, ignore_errors=True)


def row(
    way: str,
    settings: Settings,
    size: int,
    up: Callable[[Settings, int], float],
    down: Callable[[Settings], object],
) -> None:
    """Start so many nodes one way, measure, and end them. Memory is for each node."""
    before = available()
    try:
        seconds = up(settings, size)
        time.sleep(2)
        weight, used = pss(settings) / size, (before - available()) / size
        print(f"{size:>5}  {way:<10} {seconds:>8.1f} {seconds / size:>7.3f} ", end="")
        print(f"{weight:>7.1f} {used:>8.1f}", flush=True)
    finally:
        down(settings)


def our_up(settings: Settings, size: int) -> float:
    """The lab's own way. Returns seconds."""
    dc = handmade.datacentre(size)
    begun = time.monotonic()
    lab.up(settings, dc, [str(server.name) for server in dc.servers])
    return time.monotonic() - begun


def peer_up(settings: Settings, size: int) -> float:
    """The shell's way; disks, bridges and limits are there before the clock starts."""
    dc = handmade.datacentre(size)
    nodes = spec.nodes(dc, [str(server.name) for server in dc.servers])
    root = image.ensure(settings, print)
    ca.ensure(settings)
    signer = ca.HostSigner(ca.folder(settings))
    node.folder(settings).mkdir(parents=True)
    for each in nodes:
        node.prepare(settings, each, root, signer)
    # As the lab does; `lab.down` reads the notes and puts the limits back.
    raised = limits.raise_for(size, {}, lambda _: None)
    notes = lab.Lab(
        instance=settings.instance,
        netns=str(ca.namespace_path(settings)),
        started=time.time(),
        kernel={},
        image=str(root),
        limits=raised,
        hosts={},
    )
    (settings.state / "lab" / "lab.json").write_bytes(msgspec.json.encode(notes))
    groups = cgroup.Tree(settings)
    groups.make()
    # `ip` knows the namespaces of one directory only.
    prefix = f"chap-{settings.instance}"
    hub = Path("/run/netns") / prefix
    script = PEER.format(
        nodes=shlex.quote(str(node.folder(settings))),
        image=shlex.quote(str(root)),
        prefix=prefix,
        hub=prefix,
        bases=" ".join(shlex.quote(str(base)) for base in groups.bases),
    )
    lines = [f"{n.name} {wires.bridge_name(n.network)} {n.ports[0].mac}" for n in nodes]
    subprocess.run(["ip", "netns", "add", prefix], check=True)
    with wires.Hub(hub) as wired:
        wired.prepare(nodes, spec.services(dc))
        begun = time.monotonic()
        subprocess.run(
            ["/bin/bash", "-c", script], input="\n".join(lines) + "\n", text=True, check=True
        )
        waiting = {each.ip for each in nodes}
        with Knocking(wired.namespace, "") as knocking:
            while waiting and time.monotonic() < begun + 900:
                waiting -= knocking.answered(waiting, 0.5)
        seconds = time.monotonic() - begun
    if waiting:
        print(f"{len(waiting)} of the shell's nodes never answered", file=sys.stderr)
    return seconds


def peer_down(settings: Settings) -> None:
    """Take away what the shell's way made."""
    cgroup.Tree(settings).remove()
    for namespace in Path("/run/netns").glob(f"chap-{settings.instance}*"):
        wires.unmount(str(namespace))
        namespace.unlink()
    for root in node.folder(settings).glob("*/root"):
        wires.unmount(str(root))
    lab.down(settings)


def available() -> float:
    """Megabytes that the machine has available."""
    text = Path("/proc/meminfo").read_text()
    return number(r"MemAvailable:\s+(\d+)", text) / 1024


def number(pattern: str, text: str) -> int:
    """The number in a text that a pattern finds."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def pss(settings: Settings) -> float:
    """Megabytes that the nodes' processes hold, what they share counted once among all."""
    total = 0
    for group in cgroup.Tree(settings).bases[0].rglob("cgroup.procs"):
        for pid in group.read_text().split():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += number(r"^Pss:\s+(\d+)", text)
    return total / 1024


if __name__ == "__main__":
    main()
