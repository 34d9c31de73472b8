"""What switches run, read off their configuration, whoever wrote it. Pure, no I/O.

| module | reads |
|---|---|
| `frr`, `links` | FRRouting's configuration, and systemd-networkd's files of the links |
| `eos`, `nxos` | the configurations of Arista EOS and Cisco NX-OS |
| `kernel` | what the kernel of a switch with FRRouting has, whoever told it so |
| `read` | any of them, by platform |
"""
