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

# Roles enable what they manage.
systemctl --quiet disable chrony.service lldpd.service nftables.service \
  prometheus-node-exporter.service smartmontools.service unattended-upgrades.service \
  apt-daily.timer apt-daily-upgrade.timer
systemctl --quiet enable systemd-networkd.service ssh.service
systemctl --quiet set-default multi-user.target

rm -rf /var/log/*.log /var/log/apt /tmp/* /var/tmp/*
