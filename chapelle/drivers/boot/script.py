"""What iPXE is told to do: load one kernel with one ramdisk, and give up after a while.

iPXE of 2019, as Debian has it, knows neither HTTPS nor `imgverify`. What guards the way up to the
kernel is said in docs/boot.md.
"""

TRIES = 5
PAUSE = 5  # seconds


def script(*, url: str, orders: str, authority: str, command_line: str) -> str:
    """The script of one boot.

    Arguments:
        url: where kernel and initrd are.
        orders: where the ramdisk finds its order.
        authority: the SHA-256 of the certificate that it has to find there.
        command_line: more arguments for the kernel.

    Returns:
        A script that tries a few times, and then lets the firmware go on to the next way to boot.
    """
    arguments = " ".join(
        each
        for each in (
            "initrd=initrd",
            command_line,
            f"chapelle.url={orders}",
            f"chapelle.ca={authority}",
            "chapelle.mac=${netX/mac}",
        )
        if each
    )
    return f"""#!ipxe
set tries:int32 0
:load
imgfree
kernel --name kernel {url}/kernel {arguments} || goto failed
initrd --name initrd {url}/initrd || goto failed
boot || goto failed
:failed
inc tries
iseq ${{tries}} {TRIES} && goto end ||
echo The kernel did not come: trying again.
sleep {PAUSE}
goto load
:end
echo Giving up: booting from the next device.
exit 1
"""
