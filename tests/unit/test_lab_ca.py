"""The lab's certificate authorities: what OpenSSH itself says of what they sign."""

import subprocess
import time

from chapelle.lab import ca
from chapelle.settings import Settings


def settings(path) -> Settings:
    return Settings.load({"CHAPELLE_STATE": str(path)})


def listing(path) -> str:
    return subprocess.run(
        ["ssh-keygen", "-L", "-f", path], capture_output=True, text=True, check=True
    ).stdout


def test_the_operators_certificate_is_for_a_day_and_renewed_at_half(tmp_path, monkeypatch) -> None:
    lab = settings(tmp_path)
    now = time.time()
    ca.ensure(lab)
    path = ca.folder(lab) / "id_ed25519-cert.pub"
    first = path.read_bytes()
    assert "user certificate" in listing(path)
    assert "Principals: \n                deploy\n" in listing(path)
    monkeypatch.setattr(ca.time, "time", lambda: now + 11 * 3600)
    ca.issue_user_certificate(lab)
    assert path.read_bytes() == first
    monkeypatch.setattr(ca.time, "time", lambda: now + 13 * 3600)
    ca.issue_user_certificate(lab)
    assert path.read_bytes() != first


def test_a_damaged_certificate_is_replaced(tmp_path) -> None:
    lab = settings(tmp_path)
    ca.ensure(lab)
    path = ca.folder(lab) / "id_ed25519-cert.pub"
    path.write_text("ssh-ed25519-cert-v01@openssh.com AAAA\n")
    ca.issue_user_certificate(lab)
    assert "user certificate" in listing(path)


def test_a_host_certificate_names_all_ways_to_the_host(tmp_path) -> None:
    lab = settings(tmp_path)
    ca.ensure(lab)
    key = ca.HostSigner(ca.folder(lab)).new(["a", "a.example", "192.0.2.1"])
    path = tmp_path / "key-cert.pub"
    path.write_bytes(key.certificate)
    text = listing(path)
    assert "host certificate" in text
    for principal in ("a", "a.example", "192.0.2.1"):
        assert f"                {principal}\n" in text


def test_private_keys_are_private_and_kept(tmp_path) -> None:
    lab = settings(tmp_path)
    ca.ensure(lab)
    before = {}
    for name in ("ca_host", "ca_user", "id_ed25519"):
        path = ca.folder(lab) / name
        assert path.stat().st_mode & 0o777 == 0o600
        before[name] = path.read_bytes()
    assert len(set(before.values())) == 3
    ca.ensure(lab)
    assert all((ca.folder(lab) / name).read_bytes() == data for name, data in before.items())
