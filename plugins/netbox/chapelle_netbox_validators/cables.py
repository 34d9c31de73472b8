# mypy: ignore-errors
"""Runs in NetBox's own Python: what the rules about cables share.

When a cable is validated, its ends are on the unsaved instance, and the database knows neither it
nor, for a cable that is moved, that its former ends are free.
"""

from dcim.models import CableTermination

from chapelle_netbox_validators.common import option


def to_judge(cable):
    """Whether the ends of this cable are judged: they are new, or what exists is refused too."""
    return cable._state.adding or cable._terminations_modified or option("refuse_existing")


def so_before(cable):
    """Whether the cable is stored with these very ends."""
    if cable._state.adding:
        return False
    stored = CableTermination.objects.filter(cable=cable.pk).values_list(
        "cable_end", "termination_type__model", "termination_id"
    )
    given = {
        (side, end._meta.model_name, end.pk)
        for side, ends in (("A", cable.a_terminations), ("B", cable.b_terminations))
        for end in ends
    }
    return set(stored) == given
