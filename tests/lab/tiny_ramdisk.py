"""A kernel of Debian's, and a ramdisk that does what an installer does first, and no more.

It asks DHCP on the port that it was told of, fetches the authority and holds it against the digest
in its command line, fetches the order over TLS and reports it back.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from chapelle.model.boot import BootFile
from chapelle.settings import Settings

PACKAGE = "linux-image-cloud-amd64"
MODULES = (
    "drivers/virtio/virtio.ko", "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko", "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko", "net/core/failover.ko", "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko", "net/packet/af_packet.ko", "drivers/block/virtio_blk.ko",
)  # fmt: skip

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for pass in 1 2 3 4; do for module in /m/*.ko; do insmod $module 2>/dev/null; done; done
for word in $(cat /proc/cmdline); do
  case $word in
    chapelle.url=*) url=${word#*=} ;; chapelle.mac=*) mac=${word#*=} ;;
    chapelle.ca=*) ca=${word#*=} ;;
  esac
done
for port in /sys/class/net/*; do [ "$(cat $port/address)" = "$mac" ] && dev=${port##*/}; done
ip link set $dev up
printf '#!/bin/sh\n[ "$1" != bound ] || ip addr add $ip/$mask dev $interface\n' >/tmp/told
chmod +x /tmp/told
udhcpc -i $dev -n -q -s /tmp/told -t 20
rest=${url#https://}; path=/${rest#*/}; server=${rest%%/*}
talk() { openssl s_client -quiet -connect $server "$@" 2>/dev/null | sed '1,/^\r*$/d'; }
printf "GET $path/ca.pem HTTP/1.0\r\n\r\n" | talk >/tmp/ca.pem
echo "$ca  /tmp/ca.pem" | sha256sum -c || { echo RAMDISK wrong authority; poweroff -f; }
order=$(printf "GET $path/order HTTP/1.0\r\n\r\n" | talk -CAfile /tmp/ca.pem -verify_return_error)
firmware=bios; [ ! -d /sys/firmware/efi ] || firmware=uefi
disks=$(for disk in /sys/block/vd*; do cat $disk/serial; echo; done | sort | tr '\n' ' ')
report="{\"order\": \"$order\", \"firmware\": \"$firmware\", \"disks\": \"$disks\",
 \"serial\": \"$(cat /sys/class/dmi/id/product_serial)\",
 \"model\": \"$(cat /sys/class/dmi/id/product_name)\",
 \"tpm\": \"$(ls /sys/class/tpm 2>/dev/null)\", \"mac\": \"$mac\"}"
printf "POST $path/report HTTP/1.0\r\nContent-Length: ${#report}\r\n\r\n%s" "$report" |
  talk -CAfile /tmp/ca.pem -verify_return_error
echo RAMDISK done
sync
reboot -f
"""


def made(settings: Settings) -> tuple[BootFile, BootFile]:
    """Kernel and ramdisk; the kernel's package is kept in the cache."""
    package = _package(settings.cache / "test-kernel")
    home = package.parent / "tiny"
    shutil.rmtree(home, ignore_errors=True)
    for part in ("bin", "usr/bin", "m", "proc", "sys", "dev", "tmp"):
        (home / "root" / part).mkdir(parents=True)
    subprocess.run(["dpkg-deb", "-x", package, home / "kernel"], check=True)
    modules = next((home / "kernel").glob("lib/modules/*/kernel"))
    for name in MODULES:
        for path in (modules / name, modules / f"{name}.xz"):
            if path.exists():
                shutil.copy(path, home / "root/m")
    root = home / "root"
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin/busybox")
    linked = subprocess.run(["ldd", "/usr/bin/openssl"], capture_output=True, text=True, check=True)
    programs = ["/usr/bin/openssl", *re.findall(r"/\S+", linked.stdout)]
    libraries = subprocess.run(
        ["ldd", str(root / "bin/busybox")], capture_output=True, text=True, check=False
    )
    programs += re.findall(r"(?<=\s)/\S+", libraries.stdout)
    for program in dict.fromkeys(programs):
        place = root / program.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, place)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    packed = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"],
        input="\n".join(names).encode(), capture_output=True, cwd=root, check=True,
    )  # fmt: skip
    (home / "initrd").write_bytes(gzip.compress(packed.stdout, 1))
    kernel = next((home / "kernel/boot").glob("vmlinuz-*"))
    return _file(kernel), _file(home / "initrd")


def _package(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob("linux-image-*cloud*.deb"))
    if found:
        return found[-1]
    shown = subprocess.run(
        ["apt-cache", "depends", PACKAGE], capture_output=True, text=True, check=True
    ).stdout
    (real,) = re.findall(r"Depends: (linux-image-\S+)", shown)
    subprocess.run(["apt-get", "-q", "download", real], cwd=folder, check=True)
    return next(folder.glob("linux-image-*.deb"))


def _file(path: Path) -> BootFile:
    return BootFile(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
