"""Unlocking without a person: clevis binds the root's LUKS header to Tang servers and the TPM.

Sources: clevis(1), clevis-encrypt-sss(1), clevis-encrypt-tang(1), clevis-encrypt-tpm2(1); Trusted
Computing Group, TPM 2.0 Library, part 1, "Dictionary Attack Protection"; tpm2_dictionarylockout(1).
"""

import json

from chapelle.installer import programs
from chapelle.installer.order import Encryption
from chapelle.installer.partition import ROOT_ARRAY
from chapelle.installer.stop import Failed

SLOT = "1"

# What the TPM has to have measured: the state of Secure Boot. A new kernel does not change it.
_REGISTERS = {"pcr_bank": "sha256", "pcr_ids": "7"}


# A TPM counts each power cut as if somebody had guessed at a password, and some let nobody in for
# hours after the third. Nothing of ours has a password. Tries; seconds until one is forgotten.
_TRIES, _FORGOTTEN = "32", "600"
_LOCKOUT = ("tpm2_dictionarylockout", "--tcti=device:/dev/tpmrm0")


def policy(encryption: Encryption) -> dict[str, object]:
    """The sss pin's configuration: so many of the Tang servers, and the TPM if the order says so.

    Each server is known by the thumbprint of its key: none is trusted because it answered first.
    """
    servers = [{"url": each.url, "thp": each.thumbprint} for each in encryption.tang]
    tang: dict[str, object] = {"t": encryption.threshold, "pins": {"tang": servers}}
    if not encryption.tpm2:
        return tang
    return {"t": 2, "pins": {"tpm2": _REGISTERS, "sss": tang}}


def outlast_power_cuts() -> bool:
    """Let the TPM forget the power cuts until now, and bear 32 in a row from now on.

    Returns:
        Whether it has; not, if its lockout is another's, who has given it a password.
    """
    return programs.succeeds(*_LOCKOUT, "--clear-lockout") and programs.succeeds(
        *_LOCKOUT, "--setup-parameters", f"--max-tries={_TRIES}", f"--recovery-time={_FORGOTTEN}",
        f"--lockout-recovery-time={_FORGOTTEN}",
    )  # fmt: skip


def bind(encryption: Encryption) -> None:
    """Bind the root, and see that it opens so.

    Raises:
        Failed: too few servers answer, one has another key, or it does not open.
    """
    programs.run(
        "clevis", "luks", "bind", "-y", "-k", "-", "-s", SLOT, "-d", ROOT_ARRAY, "sss",
        json.dumps(policy(encryption)), secret=encryption.passphrase + "\n",
    )  # fmt: skip
    key = programs.run("clevis", "luks", "pass", "-d", ROOT_ARRAY, "-s", SLOT)
    if not programs.succeeds(
        "cryptsetup", "open", "--test-passphrase", "--key-file=-", f"--key-slot={SLOT}",
        ROOT_ARRAY, secret=key.rstrip("\n"),
    ):  # fmt: skip
        raise Failed("the root does not open by Tang and TPM", found="another key comes out")
