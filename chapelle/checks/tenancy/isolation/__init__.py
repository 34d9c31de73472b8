"""Who reaches whom: a proof from what NetBox says, or from what switches run. Pure, no I/O.

| module | what is in it |
|---|---|
| `parties` | whose a thing is |
| `graph` | parts, edges, and where a party's traffic comes to be another's |
| `intended` | what a switch is to do, as a `Reading` |
| `stated`, `carried`, `doors` | the edges: of NetBox itself, of switches, of their ports |
| `places` | racks, units, and addresses that overlap |
| `leaks`, `ways` | findings; what is shared and may be |
| `proof` | all of it, from what is intended |
| `running` | what switches run, as a `Reading` |
| `observed` | all of it, from what switches run |
"""

from chapelle.checks.tenancy.isolation.observed import prove_running
from chapelle.checks.tenancy.isolation.proof import prove

__all__ = ["prove", "prove_running"]
