"""The peer of playbooks/provision.yml: the same state by pyinfra, as its documentation writes it.

Templates are those of the roles, so that the result is the same to the byte. A service is restarted
before it is started, so that one that did not run yet starts once.
"""
# mypy: ignore-errors

from io import StringIO

from pyinfra import host
from pyinfra.operations import apt, files, server, systemd

d = host.data


def template(role, src, dest, mode="644"):
    """A file from a template of a role, with the Jinja settings that Ansible has."""
    return files.template(
        name=f"Write {dest}",
        src=f"{d.variables['roles']}/{role}/templates/{src}",
        dest=dest,
        user="root",
        group="root",
        mode=mode,
        jinja_env_kwargs={"trim_blocks": True},
        **d.variables,
    )


def content(dest, text, mode="644"):
    """A file with a given content."""
    return files.put(
        name=f"Write {dest}", src=StringIO(text), dest=dest, user="root", group="root", mode=mode
    )


def any_of(*operations):
    """A condition: one of the operations has changed something."""
    return lambda: any(operation.did_change() for operation in operations)


def service(unit, *watched, reload=False):
    """Run a unit, and restart or reload it when one of the watched operations changed something."""
    if watched:
        systemd.service(
            name=f"{'Reload' if reload else 'Restart'} {unit}",
            service=unit,
            running=None,
            restarted=not reload,
            reloaded=reload,
            _if=any_of(*watched),
        )
    systemd.service(name=f"Run {unit}", service=unit, enabled=True)


def base():
    """Names, resolver, time zone, locale, journal, updates."""
    v = d.variables
    apt.packages(name="Install the base packages", packages=v["base_packages"], no_recommends=True)
    server.hostname(name="Set the host name", hostname=v["base_hostname"])
    content("/etc/hostname", f"{v['base_hostname']}\n")
    template("base", "hosts.j2", "/etc/hosts")
    template("base", "resolv.conf.j2", "/etc/resolv.conf")
    files.link(
        name="Set the time zone",
        path="/etc/localtime",
        target=f"/usr/share/zoneinfo/{v['base_timezone']}",
    )
    content("/etc/timezone", f"{v['base_timezone']}\n")
    template("base", "locale.j2", "/etc/default/locale")
    journald = template("base", "journald.conf.j2", "/etc/systemd/journald.conf.d/50-chapelle.conf")
    template("base", "auto-upgrades.j2", "/etc/apt/apt.conf.d/20auto-upgrades")
    template("base", "unattended-upgrades.j2", "/etc/apt/apt.conf.d/52chapelle-upgrades")
    systemd.service(
        name="Restart journald",
        service="systemd-journald.service",
        restarted=True,
        _if=any_of(journald),
    )
    service("apt-daily.timer")
    service("apt-daily-upgrade.timer")


def access():
    """Administrators, sudo rules, sshd."""
    v = d.variables
    group, people = v["access_administrators_group"], v["access_administrators"]
    deploy = v["access_deploy_user"]
    apt.packages(
        name="Install what access needs", packages=["openssh-server", "sudo"], no_recommends=True
    )
    server.group(name="Make the group of administrators", group=group, system=True)
    for person in people:
        server.user(  # noqa: S604 - the account's shell
            name=f"Make the account {person['name']}",
            user=person["name"],
            comment=person["comment"],
            shell="/bin/bash",
            groups=[group],
            append=True,
            create_home=True,
        )
    files.directory(
        name="Make the directory of principals",
        path="/etc/ssh/principals.d",
        user="root",
        group="root",
        mode="755",
    )
    content(f"/etc/ssh/principals.d/{deploy}", f"{deploy}\n")
    for person in people:
        principals = "".join(f"{name}\n" for name in person["principals"])
        content(f"/etc/ssh/principals.d/{person['name']}", principals)
    content(v["access_authority_file"], v["access_user_authority"])
    files.directory(
        name="Restrict the directory of sudo rules",
        path="/etc/sudoers.d",
        user="root",
        group="root",
        mode="750",
    )
    template("access", "sudoers-deploy.j2", f"/etc/sudoers.d/{deploy}", "440")
    template("access", "sudoers-administrators.j2", "/etc/sudoers.d/administrators", "440")
    sshd = template("access", "sshd_config.j2", "/etc/ssh/sshd_config", "600")
    installers = files.file(
        name="Remove the installer's sshd settings",
        path="/etc/ssh/sshd_config.d/05-install.conf",
        present=False,
    )
    service("ssh.service", sshd, installers, reload=True)


def time():
    """Keep time by chrony."""
    apt.packages(
        name="Remove other time daemons",
        packages=["ntp", "ntpsec", "systemd-timesyncd"],
        present=False,
    )
    apt.packages(name="Install chrony", packages=["chrony"], no_recommends=True)
    watched = [
        template("time", "chrony.conf.j2", "/etc/chrony/chrony.conf"),
        template("time", "default-chrony.j2", "/etc/default/chrony"),
    ]
    if not d.variables["time_sets_clock"]:
        unit = template(
            "time", "container.conf.j2", "/etc/systemd/system/chrony.service.d/50-chapelle.conf"
        )
        systemd.daemon_reload(name="Read units again", _if=any_of(unit))
        watched.append(unit)
    service("chrony.service", *watched)


def network():
    """systemd-networkd's files."""
    apt.packages(name="Install the tools of the network", packages=["iproute2"], no_recommends=True)
    watched = [content(each["path"], each["content"]) for each in d.variables["network_files"]]
    watched.append(
        files.file(
            name="Remove the installer's link",
            path="/etc/systemd/network/05-install.network",
            present=False,
        )
    )
    server.shell(name="Reload networkd", commands=["networkctl reload"], _if=any_of(*watched))
    service("systemd-networkd.service")


def firewall():
    """Load the rules of nftables."""
    apt.packages(name="Install nftables", packages=["nftables"], no_recommends=True)
    rules = template("firewall", "nftables.conf.j2", "/etc/nftables.conf", "640")
    service("nftables.service", rules, reload=True)


def observability():
    """Node exporter, lldpd, smartd."""
    apt.packages(
        name="Install what observes the host",
        packages=["prometheus-node-exporter", "lldpd", "smartmontools"],
        no_recommends=True,
    )
    exporter = template(
        "observability", "default-node-exporter.j2", "/etc/default/prometheus-node-exporter"
    )
    options = template("observability", "default-lldpd.j2", "/etc/default/lldpd")
    lldpd = template("observability", "lldpd.conf.j2", "/etc/lldpd.d/50-chapelle.conf")
    smartd = template("observability", "smartd.conf.j2", "/etc/smartd.conf")
    service("prometheus-node-exporter.service", exporter)
    service("lldpd.service", options, lldpd)
    # A condition of the unit keeps it from running in a container, which would be a change each
    # time; so it is started when its configuration changes.
    smartmontools = "smartmontools.service"
    systemd.service(name="Enable smartd", service=smartmontools, running=None, enabled=True)
    systemd.service(name="Start smartd", service=smartmontools, _if=any_of(smartd))


base()
access()
time()
network()
firewall()
observability()
