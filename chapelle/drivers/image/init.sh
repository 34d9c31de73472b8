#!/bin/sh
# The ramdisk's first program: brings the machine up as far as the installer needs it.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# What a shell's process substitution opens, as clevis has some; devtmpfs has none of them.
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm /run
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
[ ! -d /sys/firmware/efi ] || mount -t efivarfs efivarfs /sys/firmware/efi/efivars
mkdir -p /run/lock /run/udev
ip link set lo up
hostname installer

/lib/systemd/systemd-udevd --daemon
udevadm trigger --type=subsystems --action=add
udevadm trigger --type=devices --action=add
udevadm settle --timeout=60
modprobe -a loop dm-mod dm-crypt md-mod raid1 ext4 xfs vfat nls_cp437 nls_ascii 8021q 2>/dev/null

echo 4 >/proc/sys/kernel/printk
PYTHONPATH=/usr/lib/chapelle python3 -B -m chapelle.installer </dev/null >/dev/console 2>&1
# The installer says by its exit status what comes next; nobody can log in here.
case $? in
  10) echo 'installer: restarting'; sync; busybox reboot -f ;;
  *) echo 'installer: switching off'; sync; busybox poweroff -f ;;
esac
sleep infinity
