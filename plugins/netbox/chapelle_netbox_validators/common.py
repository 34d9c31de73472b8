# mypy: ignore-errors
"""Runs in NetBox's own Python: settings, and the two things that every rule asks of an edit."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError

NAME = "chapelle_netbox_validators"

# `operators`: slugs of tenants; None: the tenant of the site that a device stands in.
# `handoff_roles`: slugs of roles of the operator's devices that others may be cabled to; None: all.
DEFAULTS = {
    "operators": None,
    "handoff_roles": None,
    "serials_per_manufacturer": False,
    "refuse_existing": False,
}
SO_BEFORE = "It was so before this edit: mend it first, or set refuse_existing to False."


def option(name):
    """A setting out of PLUGINS_CONFIG, which NetBox keeps for plugins and hands on unread.

    Raises:
        ImproperlyConfigured: there is a setting that we do not know.
    """
    given = settings.PLUGINS_CONFIG.get(NAME, {})
    if unknown := given.keys() - DEFAULTS.keys():
        raise ImproperlyConfigured(
            f"PLUGINS_CONFIG[{NAME!r}]: expected {', '.join(DEFAULTS)}, "
            f"found {', '.join(sorted(unknown))}: mend configuration.py."
        )
    return given.get(name, DEFAULTS[name])


def unchanged(instance, fields):
    """Whether the object is stored with these values already: what is wrong was wrong before."""
    if instance._state.adding:
        return False
    stored = type(instance).objects.filter(pk=instance.pk).values(*fields).first()
    return stored == {field: getattr(instance, field) for field in fields}


def refuse(message, *, existing, field=None):
    """Refuse the save, unless what is wrong was so before and is let through.

    Arguments:
        message: what was expected, what was found, and what to do.
        existing: whether the edit leaves alone what is wrong.
        field: the field of the form to show it at. What was wrong before is shown above the form,
            which may not have that field.

    Raises:
        ValidationError: the save is refused.
    """
    if not existing:
        raise ValidationError({field: message} if field else message)
    if option("refuse_existing"):
        raise ValidationError(f"{message} {SO_BEFORE}")
