# mypy: ignore-errors
"""Runs in NetBox's own Python: the superuser, and each mode's user, token and permissions.

NetBox restricts objects, not fields (users.models.ObjectPermission), so what the tables below say
is the tightest that it can do. A constraint holds before and after a change: the writer can neither
take a device out of a status that a person decides about, nor put one there.
"""

import json
import os
from pathlib import Path

from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from users.constants import TOKEN_PREFIX
from users.models import ObjectPermission, Token, User

# All models of these apps, unless an app has a list.
DESIGNED = {
    "dcim": None,
    "ipam": None,
    "tenancy": None,
    "virtualization": None,
    "vpn": None,
    "extras": ("configcontext", "customfield", "customfieldchoiceset", "tag", "taggeditem"),
}
READABLE = {**DESIGNED, "core": ("objectchange", "objecttype")}
READABLE["extras"] = (*DESIGNED["extras"], "journalentry")

# What a tenant's request made: its custom field `request` is not empty. So a mistake in what comes
# and goes with tenants cannot reach a server's cable, or the fabric's addresses.
REQUESTED = {"custom_field_data__request__regex": "."}
EDGE = "tenant-edge"
OWN_PORTS = ("interface", "powerport")
TENANT_SWITCHES = ["tenant-leaf", "oob"]
ALL = ["add", "change", "delete"]

# (suffix of the name, objects, actions, constraints)
PERMISSIONS = {
    "read": [("view", READABLE, ["view"], None)],
    "write": [
        ("view", READABLE, ["view"], None),
        # Any status: what a person put offline is retired, too. chapelle.model.status says which
        # may follow which; NetBox' constraints cannot, since they do not know before from after.
        ("status", {"dcim": ("device",)}, ["change"], None),
        ("lock", {"dcim": ("location",)}, ["change"], None),
        ("maintenance", {"dcim": ("site",)}, ["change"], None),
        ("journal", {"extras": ("journalentry",)}, ["add"], {"created_by": "$user"}),
    ],
    "tenancy": [
        ("view", READABLE, ["view"], None),
        ("parties", {"tenancy": ("tenant", "contact", "contactassignment")}, ALL, None),
        ("space", {"dcim": ("rack", "powerfeed")}, ["change"], None),
        ("held", {"dcim": ("rackreservation", "cable")}, ALL, REQUESTED),
        ("edge", {"dcim": ("device",)}, ALL, {**REQUESTED, "role__slug": EDGE}),
        ("edge-ports", {"dcim": OWN_PORTS}, ALL, {"device__role__slug": EDGE}),
        (
            "ports",
            {"dcim": ("interface",)},
            ["change"],
            {"device__role__slug__in": TENANT_SWITCHES},
        ),
        (
            "network",
            {
                "ipam": ("vrf", "routetarget", "vlan", "prefix", "ipaddress", "asn"),
                "vpn": ("l2vpn",),
            },
            ALL,
            REQUESTED,
        ),
        (
            "network-ends",
            {"vpn": ("l2vpntermination",)},
            ALL,
            {f"l2vpn__{field}": value for field, value in REQUESTED.items()},
        ),
        ("pools", {"dcim": ("site",)}, ["change"], None),
        ("lock", {"dcim": ("location",)}, ["change"], None),
        ("journal", {"extras": ("journalentry",)}, ["add"], {"created_by": "$user"}),
    ],
    "seed": [
        ("view", READABLE, ["view"], None),
        ("design", DESIGNED, ["add", "change", "delete"], None),
    ],
}


def ensure() -> None:
    """Create what is missing, renew what differs; leave a password that is set alone."""
    home = Path(os.environ["CHAPELLE_NETBOX_HOME"])
    tokens = json.loads((home / "tokens.json").read_text())
    with transaction.atomic():
        if not User.objects.filter(username="admin").exists():
            User.objects.create_superuser(
                "admin", password=(home / "admin-password").read_text().strip()
            )
        for mode, permissions in PERMISSIONS.items():
            user, _ = User.objects.get_or_create(username=f"chapelle-{mode}")
            _ensure_token(user, tokens[mode], mode)
            _ensure_permissions(user, mode, permissions)
    connections.close_all()  # gunicorn forks next, and a connection must not be shared


def _ensure_token(user, text, mode) -> None:
    key, _, plain = text.removeprefix(TOKEN_PREFIX).partition(".")
    for token in Token.objects.filter(user=user):
        if token.key == key and token.validate(plain) and token.enabled:
            return
    Token.objects.filter(user=user).delete()
    Token.objects.create(
        user=user,
        key=key,
        token=plain,
        write_enabled=mode != "read",
        description="made by chapelle; kept in its state directory",
    )


def _ensure_permissions(user, mode, permissions) -> None:
    for suffix, objects, actions, constraints in permissions:
        permission, _ = ObjectPermission.objects.update_or_create(
            name=f"chapelle-{mode}-{suffix}",
            defaults={"actions": actions, "constraints": constraints, "enabled": True},
        )
        types = ContentType.objects.filter(app_label__in=objects)
        wanted = [
            t for t in types if objects[t.app_label] is None or t.model in objects[t.app_label]
        ]
        permission.object_types.set(wanted)
        permission.users.set([user])
