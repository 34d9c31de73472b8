# Finishes the root image. Runs inside it, once, by `sh -eu`.

export SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

# What fetched the packages was lent.
rm -rf /etc/apt/apt.conf.d/99mmdebstrap /etc/apt/auth.conf.d

# The account that Ansible uses. Its password has never been set: nobody can log in with one.
groupadd --gid 900 deploy
useradd --uid 900 --gid 900 --create-home --shell /bin/bash --comment 'Deployment' deploy
chmod 0440 /etc/sudoers.d/deploy
chmod 0755 /etc/initramfs-tools/hooks/chapelle /etc/initramfs-tools/scripts/*/chapelle

# Each server has its own; the installer writes them, and nvme-cli asks the firmware for its own.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /etc/nvme/hostid /etc/nvme/hostnqn
: >/etc/machine-id
: >/etc/resolv.conf

# Roles enable what they manage.
systemctl --quiet disable chrony.service lldpd.service nftables.service \
  prometheus-node-exporter.service smartmontools.service unattended-upgrades.service \
  apt-daily.timer apt-daily-upgrade.timer
systemctl --quiet enable systemd-networkd.service ssh.service
systemctl --quiet set-default multi-user.target

# An initramfs for any server: the installer adds what is one host's only, and need not make one.
update-initramfs -c -k "$(ls /usr/lib/modules)"

# What was made while packages were installed, and depends on when and where that was. Not /tmp: what
# tells mmdebstrap's apt that it works on this root lies there, and without it, it would work on the
# machine's own. mmdebstrap empties it, and apt's lists.
rm -rf /var/log/*.log /var/log/apt /var/tmp/* /var/cache/ldconfig/aux-cache \
  /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old \
  /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
find / -xdev -name __pycache__ -prune -exec rm -rf {} +
