"""The Invoke tasks: arguments, help, exit codes, printing. No logic lives here."""

from invoke import Collection

from chapelle.tasks import (
    bare,
    bmc,
    capacity,
    check,
    fabric,
    image,
    keys,
    lab,
    maintenance,
    netbox,
    provision,
    resilience,
    rolling,
    runs,
    snapshot,
    storage,
    tenancy_accept,
    tenancy_change,
    tenancy_isolation,
    tenancy_view,
    tenant,
)


def namespace() -> Collection:
    """All tasks: those of `provision` at the top, the others under their noun."""
    top = Collection.from_module(provision)
    nouns = (
        netbox, snapshot, resilience, maintenance, fabric, bmc, image, keys, lab, runs, storage,
        tenant,
    )  # fmt: skip
    for noun in nouns:
        top.add_collection(Collection.from_module(noun))
    top.collections["tenant"].add_task(tenancy_change.onboard)
    top.collections["tenant"].add_task(tenancy_change.offboard)
    top.collections["tenant"].add_task(tenancy_isolation.isolation)
    top.collections["tenant"].add_task(tenancy_accept.accept)
    top.collections["tenant"].add_task(tenancy_view.handover)
    top.collections["tenant"].add_task(tenancy_view.export)
    top.collections["tenant"].add_task(tenancy_view.permissions)
    top.add_task(check.check)
    top.add_task(capacity.capacity)
    top.add_task(rolling.reboot)
    top.add_task(rolling.patch)
    top.add_task(bare.rebuild)
    top.add_task(bare.retire)
    return top
