# Finishes the lab's root image. Runs inside it, once, by `sh -eu`.

export SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# The machine's own sources, credentials and settings for reaching its archive stay out of it.
rm -rf /etc/apt/sources.list /etc/apt/apt.conf.d/99mmdebstrap /etc/apt/auth.conf.d
apt-get -q update

# The account that Ansible uses.
groupadd --gid 900 deploy
useradd --uid 900 --gid 900 --create-home --shell /bin/bash --comment 'Deployment' deploy
chmod 0440 /etc/sudoers.d/deploy

# Each node has its own.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id
: >/etc/resolv.conf

# Prints those of the units that the image has: releases differ.
known() {
  for unit in "$@"; do
    if [ -e "/usr/lib/systemd/system/$unit" ] || [ -e "/lib/systemd/system/$unit" ]; then
      echo "$unit"
    fi
  done
}

# Roles enable what they manage.
# shellcheck disable=SC2046
systemctl --quiet disable $(known \
  chrony.service frr.service iperf3.service lldpd.service nftables.service prometheus-node-exporter.service \
  smartmontools.service unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer \
  dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer ssh.socket)
systemctl --quiet enable systemd-networkd.service ssh.service
systemctl --quiet set-default multi-user.target

# What a container does not have (consoles, swap, encrypted disks, kernel modules), or has from the
# one that starts it (API file systems, users, device nodes): a third of a second of work each boot,
# times 300.
systemctl --quiet mask \
  console-getty.service getty-static.service getty.target systemd-logind.service \
  systemd-ask-password-console.path systemd-ask-password-wall.path systemd-initctl.socket \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service \
  cryptsetup.target integritysetup.target veritysetup.target remote-fs.target \
  dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount systemd-remount-fs.service \
  systemd-binfmt.service systemd-modules-load.service systemd-random-seed.service \
  systemd-pstore.service systemd-network-generator.service \
  systemd-firstboot.service systemd-machine-id-commit.service systemd-repart.service \
  systemd-sysusers.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-clean.timer \
  systemd-journal-flush.service systemd-user-sessions.service systemd-resolved.service \
  systemd-timesyncd.service

# Nobody may log in before systemd-user-sessions: that file is not to be made, then.
mkdir -p /etc/tmpfiles.d
ln -sf /dev/null /etc/tmpfiles.d/systemd-nologin.conf

# Generators run at each boot and at each daemon-reload; none of them finds anything here. Ubuntu has
# masked one already.
mkdir -p /etc/systemd/system-generators
for generator in /usr/lib/systemd/system-generators/*; do
  ln -sf /dev/null "/etc/systemd/system-generators/${generator##*/}"
done

rm -rf /var/log/*.log /var/log/apt /tmp/* /var/tmp/*
