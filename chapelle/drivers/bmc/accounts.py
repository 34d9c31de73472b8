"""Changes the password of the account that we log in with (DSP0268, ManagerAccount)."""

from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import BmcError

ROOT = "/redfish/v1/"


def change_password(bmc: Bmc, password: str) -> None:
    """Give our own account another password; whether it holds is seen by logging in with it.

    Raises:
        UnreachableError: no answer came, and it may have been changed or not.
        BmcError: the BMC has no such account that it shows us, or refuses the password.
    """
    user = bmc.target.login.user
    try:
        service = bmc.ask(ROOT)["AccountService"]["@odata.id"]
        accounts = bmc.ask(bmc.ask(service)["Accounts"]["@odata.id"])["Members"]
        for account in accounts:
            place: str = account["@odata.id"]
            if bmc.ask(place)["UserName"] == user:
                bmc.change(place, {"Password": password})
                return
    except KeyError as error:
        raise _no_account(bmc, user, f"no {error.args[0]}") from error
    raise _no_account(bmc, user, f"{len(accounts)} others")


def _no_account(bmc: Bmc, user: str, found: str) -> BmcError:
    return BmcError(
        f"The password of the BMC of {bmc.target.host} cannot be changed.",
        where=f"BMC of {bmc.target.host} at {bmc.target.address}",
        expected=f"an account service with an account {user}",
        found=found,
    )
