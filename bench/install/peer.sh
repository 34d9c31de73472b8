#!/bin/sh
# Runs in Debian's installer when it has its preseed file: does what its components do, for one
# disk. bench/install/peer.py puts in what stands between @.
set -eu
url=@URL@

tell() { wget -q -O /dev/null "$url/stage/$1"; }

# Nothing of the installer's own questions reaches packages.
clean() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
inside() { clean chroot /target "$@"; }

exec </dev/null >/dev/console 2>&1 3>&-
trap 'poweroff -f' EXIT

tell components
wget -q -O - "$url/tools.tar" | tar -x -C /
depmod -a
modprobe virtio_blk
modprobe ext4
until [ -b /dev/vda ]; do sleep 0.2; done

tell partition
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q /dev/vda
until [ -b /dev/vda1 ]; do sleep 0.2; done
mkfs.ext4 -q -F -L root /dev/vda1
mkdir -p /target
mount -t ext4 /dev/vda1 /target

tell base
clean debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
  @RELEASE@ /target "$url/0"

tell kernel
mount -t proc proc /target/proc
mount -t sysfs sysfs /target/sys
mount --bind /dev /target/dev
printf '#!/bin/sh\nexit 101\n' >/target/usr/sbin/policy-rc.d
chmod 755 /target/usr/sbin/policy-rc.d
echo force-unsafe-io >/target/etc/dpkg/dpkg.cfg.d/bench
echo 'APT::Install-Recommends "false";' >/target/etc/apt/apt.conf.d/00bench
wget -q -O /target/etc/apt/sources.list "$url/sources.list"
echo "UUID=$(blkid -s UUID -o value /dev/vda1) / ext4 errors=remount-ro 0 1" >/target/etc/fstab
inside apt-get -q update
inside apt-get -q -y install initramfs-tools linux-image-amd64

tell packages
inside apt-get -q -y install @PACKAGES@
inside apt-get clean

tell boot-loader
mkdir -p /target/etc/default
wget -q -O - "$url/own.tar" | tar -x -C /target
inside grub-install --target=i386-pc --no-floppy /dev/vda
inside update-grub

tell finish
inside useradd --create-home --shell /bin/bash deploy
inside systemctl --quiet enable systemd-networkd.service ssh.service
rm /target/usr/sbin/policy-rc.d
umount /target/dev
umount /target/sys
umount /target/proc
umount /target
trap - EXIT
tell restart
reboot -f
