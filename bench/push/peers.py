"""What one writes with Netmiko or nornir to compare or change many switches. Run by bench/push.py.

Runs in the peers' environment and in the lab's network namespace; the order comes on standard
input as JSON, the result goes to standard output. With `workers` 0 it is a loop over Netmiko's
connections, otherwise nornir's threads.
"""

import difflib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from netmiko import ConnectHandler
from nornir.core import Nornir
from nornir.core.inventory import ConnectionOptions, Defaults, Groups, Host, Hosts, Inventory
from nornir.core.plugins.connections import ConnectionPluginRegister
from nornir.core.task import Task
from nornir.plugins.runners import ThreadedRunner
from nornir_netmiko.tasks import netmiko_save_config, netmiko_send_command, netmiko_send_config

SHOW = "show running-config no-header"
ERROR = r"^% "


def main() -> None:
    """Carry the order out."""
    order = json.load(sys.stdin)
    work = in_turn if order["workers"] == 0 else at_once
    began = time.monotonic()
    failed = work(order)
    json.dump({"seconds": time.monotonic() - began, "failed": failed}, sys.stdout)


def options(order: dict[str, Any]) -> dict[str, Any]:
    """How Netmiko logs in: to vtysh, with strict host keys."""
    return {
        "use_keys": True,
        "key_file": order["key"],
        "ssh_strict": True,
        "alt_host_keys": True,
        "alt_key_file": order["known_hosts"],
    }


def compare(wanted: str, running: str) -> list[str]:
    """What a person would look at."""
    return list(difflib.unified_diff(running.splitlines(), wanted.splitlines(), lineterm=""))


def in_turn(order: dict[str, Any]) -> dict[str, str]:
    """One switch after the other."""
    failed = {}
    for name, switch in order["switches"].items():
        try:
            with ConnectHandler(
                device_type="cisco_ios",
                host=switch["address"],
                username=order["user"],
                **options(order),
            ) as connection:
                if order["action"] == "diff":
                    compare(switch["wanted"], connection.send_command(SHOW))
                else:
                    connection.send_config_set(order["lines"], error_pattern=ERROR)
                    connection.save_config()
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            failed[name] = repr(error)[:200]
    return failed


def at_once(order: dict[str, Any]) -> dict[str, str]:
    """Many switches at a time."""
    ConnectionPluginRegister.auto_register()
    extras = ConnectionOptions(extras=options(order))
    hosts = Hosts(
        {
            name: Host(
                name=name,
                hostname=switch["address"],
                username=order["user"],
                platform="cisco_ios",
                connection_options={"netmiko": extras},
                data={"wanted": switch["wanted"]},
            )
            for name, switch in order["switches"].items()
        }
    )
    inventory = Inventory(hosts=hosts, groups=Groups(), defaults=Defaults())
    nornir = Nornir(inventory=inventory, runner=ThreadedRunner(num_workers=order["workers"]))
    task: Callable[..., None] = diff if order["action"] == "diff" else push
    result = nornir.run(task=task, lines=order["lines"])
    nornir.close_connections()
    return {name: repr(each.exception)[:200] for name, each in result.failed_hosts.items()}


def diff(task: Task, lines: list[str]) -> None:
    """Read one switch and compare."""
    del lines
    running = task.run(task=netmiko_send_command, command_string=SHOW)[0].result
    compare(task.host["wanted"], running)


def push(task: Task, lines: list[str]) -> None:
    """Send lines to one switch and save."""
    task.run(task=netmiko_send_config, config_commands=lines, error_pattern=ERROR)
    task.run(task=netmiko_save_config)


main()
