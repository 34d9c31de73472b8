"""What a rolling run may take out of service at one time, and for how long: `rolling.yml`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from chapelle.errors import InputError, RefusedError

_Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_Seconds = Annotated[int, msgspec.Meta(ge=1, le=86400)]


class Role(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the servers of one role.

    No more than `at_once` of them are out of service at one time. One of a role that is `alone` is
    never out of service together with any other server of the run.
    """

    at_once: _Count
    alone: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds that each drain hook may take, and a restart until the server answers again."""

    drain: _Seconds
    reboot: _Seconds


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `inventory/rolling.yml`; a part of each plan that it made."""

    roles: dict[str, Role]
    seconds: Limits


def read(path: Path) -> Policy:
    """Read the policy.

    Raises:
        InputError: the file cannot be read, is no policy, or contradicts itself.
    """
    try:
        policy = msgspec.yaml.decode(path.read_bytes(), type=Policy)
    except OSError as error:
        raise _wrong(path, error.strerror or str(error)) from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise _wrong(path, " ".join(str(error).split())) from error
    for name, role in policy.roles.items():
        if role.alone and role.at_once > 1:
            raise _wrong(path, f"roles.{name}: alone, and at_once {role.at_once}")
    return policy


def _wrong(path: Path, found: str) -> InputError:
    return InputError(
        "It is not said how many servers may be out of service at one time.",
        where=str(path),
        expected="roles (by name: at_once, a whole number from 1; alone, true only where at_once "
        "is 1) and seconds (drain, reboot)",
        found=found,
    )


def beside(policy: Policy, out: Mapping[str, Collection[str]], wanted: Collection[str]) -> Policy:
    """The policy beside servers that are out of service already.

    Arguments:
        policy: what may be out at one time.
        out: for each role, the names of its servers that are out, whatever the reason.
        wanted: the roles that a run shall take servers of.

    Raises:
        RefusedError: of a role that is wanted, as many are out as may be.
    """
    roles = dict(policy.roles)
    for name in sorted(wanted):
        role = role_of(policy, name)
        left = role.at_once - len(out.get(name, ()))
        if left < 1:
            raise RefusedError(
                f"No server of role {name} may be taken out of service now.",
                where="NetBox, devices of that role",
                expected=f"fewer than {role.at_once} out of service (inventory/rolling.yml)",
                found=f"failed or offline: {', '.join(sorted(out[name]))}",
                remedy="bring them back first (invoke provision --limit=NAME), or leave this role "
                "out of the scope",
            )
        roles[name] = msgspec.structs.replace(role, at_once=left)
    return msgspec.structs.replace(policy, roles=roles)


def role_of(policy: Policy, role: str) -> Role:
    """What holds for the servers of a role.

    Raises:
        InputError: nothing is said of it.
    """
    if role not in policy.roles:
        raise InputError(
            f"It is not said how many servers of role {role or '(none)'} may be out of service at "
            "one time.",
            where="inventory/rolling.yml",
            expected=f"one of the roles {', '.join(policy.roles)}",
            found=role or "no role",
            remedy=f"add to its roles, such as: {role or 'NAME'}: {{at_once: 1}}",
        )
    return policy.roles[role]
