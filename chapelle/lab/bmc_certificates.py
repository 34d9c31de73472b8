"""Redfish's service for certificates in front of the lab's BMCs (DSP2046, CertificateService).

The emulator has one for the certificates of virtual drives; this one is for HTTPS.
"""

import json
from collections.abc import Mapping
from typing import Any

from chapelle.lab.bmc_machine import Answer, Board

MANAGERS = "/redfish/v1/Managers"
SERVICE = "/redfish/v1/CertificateService"
GENERATE = f"{SERVICE}/Actions/CertificateService.GenerateCSR"
REPLACE = f"{SERVICE}/Actions/CertificateService.ReplaceCertificate"


def of_manager(path: str) -> dict[str, Any]:
    """What a Manager has more than the emulator says."""
    return {
        "NetworkProtocol": {"@odata.id": f"{path}/NetworkProtocol"},
        "Actions": {"#Manager.Reset": {"target": f"{path}/Actions/Manager.Reset"}},
    }


def answer(board: Board, method: str, path: str, asked: Mapping[str, Any]) -> Answer | None:
    """What the BMC answers about its certificate; None for what is about something else."""
    manager = f"{MANAGERS}/{board.machine.uuid}"
    collection = f"{manager}/NetworkProtocol/HTTPS/Certificates"
    if method == "GET":
        found = _resources(board, manager, collection).get(path)
        return None if found is None else _said(200, {"@odata.id": path, **found})
    if method != "POST" or path not in {GENERATE, REPLACE, f"{manager}/Actions/Manager.Reset"}:
        return None
    try:
        return _done(board, path, collection, asked)
    except ValueError as error:
        return _said(400, {"error": {"code": "Base.1.0.GeneralError", "message": str(error)}})


def _done(board: Board, path: str, collection: str, asked: Mapping[str, Any]) -> Answer:
    """Do an action; a ValueError says why it was refused."""
    if path == GENERATE:
        if "no-request" in board.faults:
            return Answer(404)
        _require(asked, "CertificateCollection", {"@odata.id": collection})
        request = board.identity.request(asked)
        return _said(200, {**_link("CertificateCollection", collection), "CSRString": request})
    if path == REPLACE:
        if "refuses-certificate" in board.faults:
            raise ValueError("The certificate is not accepted.")
        _require(asked, "CertificateUri", {"@odata.id": f"{collection}/1"})
        _require(asked, "CertificateType", "PEM")
        late = "stale-certificate" in board.faults
        board.identity.take(str(asked.get("CertificateString")), late=late)
        return Answer(204)
    _require(asked, "ResetType", "GracefulRestart")
    board.identity.restart()
    return Answer(204)


def _require(asked: Mapping[str, Any], name: str, wanted: object) -> None:
    if asked.get(name) != wanted:
        raise ValueError(f"The parameter {name} must be {wanted}.")


def _link(name: str, path: str) -> dict[str, Any]:
    return {name: {"@odata.id": path}}


def _said(status: int, content: Mapping[str, Any]) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), json.dumps(content).encode())


def _resources(board: Board, manager: str, collection: str) -> dict[str, dict[str, Any]]:
    """What can be read, by its path."""
    actions = {
        f"#{each.rpartition('/')[2]}": {"target": each}
        for each in (GENERATE, REPLACE)
        if each == REPLACE or "no-request" not in board.faults
    }
    https = {"ProtocolEnabled": True, **_link("Certificates", collection)}
    return {
        SERVICE: {"Id": "CertificateService", "Actions": actions},
        f"{manager}/NetworkProtocol": {"Id": "NetworkProtocol", "HTTPS": https},
        collection: {"Members": [{"@odata.id": f"{collection}/1"}], "Members@odata.count": 1},
        f"{collection}/1": {
            "Id": "1",
            "CertificateType": "PEM",
            "CertificateString": board.identity.certificate(),
        },
    }
