"""Plans for tenants: what changes in NetBox when one comes, grows, or leaves. Pure, no I/O."""
