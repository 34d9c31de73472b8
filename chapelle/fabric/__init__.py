"""The switches' intended configuration: NetBox to typed intent to text. Pure, no I/O.

| function | gives |
|---|---|
| `intent.intent(dc, device)` | what a switch shall do, typed |
| `render.render(switch)` | our sections of its configuration, for its platform |
| `ownership.merge(platform, running, intended)` | what the device shall run |
| `ownership.diff(platform, running, candidate)` | what that changes |
| `links.links(switch)` | files for the kernel's side of a switch that runs FRRouting |
"""
