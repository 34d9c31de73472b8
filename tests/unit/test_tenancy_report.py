"""What people read of a tenant that comes or leaves."""

import datetime
import io

import tenants

from chapelle.model.tenancy import Option
from chapelle.plan.tenancy import certificate as certificates
from chapelle.plan.tenancy.offboard import offboard
from chapelle.plan.tenancy.onboard import onboard
from chapelle.report import tenancy as report

TODAY = tenants.TODAY


def coming() -> tuple[str, ...]:
    dc = tenants.datacentre("ap-hp", "paris-habitat")
    plan = onboard(
        dc, tenants.request("eau-de-paris"), Option(racks=tenants.RACKS["eau-de-paris"]), TODAY
    )
    diffs = {"leaf-a2-ta": "+vrf eau-de-paris\n", "leaf-a2-tb": "+vrf eau-de-paris\n"}
    return tuple(report.plan_lines(plan, diffs))


def test_a_plan_says_where_what_and_from_which_pool() -> None:
    lines = coming()
    text = "\n".join(lines)
    assert lines[0] == "Eau de Paris (EAUDEPARIS-2026-01) comes"
    assert "racks     A2-R19..22, A3-R19..22 in aisle 2, 3" in text
    assert "switches  2 switches: leaf-a2-ta, leaf-a2-tb" in text
    assert "- VLAN numbers: 1005..1007" in text
    assert "- cable edge-eau-de-paris-a2 et1 - leaf-a2-ta swp3" in text
    assert all(len(line) <= 80 for line in lines if "hash" not in line)


def test_a_long_plan_is_cut_for_who_is_asked() -> None:
    dc = tenants.datacentre()
    plan = offboard(dc, "ap-hp", TODAY)
    brief = report.plan_lines(plan, {}, brief=True)
    whole = report.plan_lines(plan, {})
    assert len(brief) < len(whole)
    assert any("lines more: --dry-run shows all" in line for line in brief)
    assert "yes confirms that this equipment is out of its rack:" in brief
    assert any("edge-ap-hp-a1 (Tenant edge 4x25G" in line for line in brief)


def test_who_takes_back_is_shown_what_goes_back() -> None:
    plan = offboard(tenants.datacentre(), "paris-habitat", TODAY)
    lines = report.plan_lines(plan, {}, brief=True, back=True)
    assert lines[0] == "Paris Habitat leaves: to be taken back"
    assert "what is taken back, as far as it was done:" in lines
    assert f"{len(plan.switches)} switches: " in "".join(lines)
    assert not any("yes confirms" in line for line in lines)


def test_diffs_are_printed_once_for_all_switches_that_have_them() -> None:
    out = io.StringIO()
    report.print_diffs({"leaf-a2-ta": "+vrf x\n", "leaf-a2-tb": "+vrf x\n"}, out)
    assert out.getvalue().count("+vrf x") == 1
    assert "leaf-a2-ta, leaf-a2-tb" in out.getvalue().replace("ta..tb", "ta, leaf-a2-tb")


def test_a_certificate_says_what_was_given_back_and_what_nobody_looked_at() -> None:
    dc = tenants.datacentre()
    plan = offboard(dc, "paris-habitat", TODAY)
    made = certificates.certificate(
        plan,
        run="20270104T120000-abcd",
        finished=datetime.datetime(2027, 1, 4, 12, 30, tzinfo=datetime.UTC),
        confirmed_by="op@desk",
        switches=("leaf-a3-ta", "leaf-a3-tb"),
    )
    assert {one.kind for one in made.quarantine} == {
        "vids", "l2vnis", "l3vnis", "asns", "prefixes", "links"
    }  # fmt: skip
    assert "VRF paris-habitat" in made.withdrawn
    assert [item.name for item in made.equipment] == ["edge-paris-habitat-a3"]
    text = "\n".join(report.certificate_lines(made))
    assert "Certificate of release: Paris Habitat" in text
    assert "A3-R07..18" in text
    assert "edge-paris-habitat-a3 (Tenant edge 4x25G, serial (none)): in A3-R07 U42" in text
    assert "VLAN numbers: 1004 until 2027-04-04" in text
    assert "media: what left with the tenant's equipment" in text
    for other in ("AP-HP", "ap-hp", "Eau de Paris", "eau-de-paris"):
        assert other not in text


def test_a_document_for_machines_has_the_whole_plan() -> None:
    dc = tenants.datacentre()
    plan = offboard(dc, "paris-habitat", TODAY)
    document = report.document(plan, {"leaf-a3-ta": "-x"}, "done", "r1")
    assert document["outcome"] == "done"
    assert document["plan"]["kind"] == "tenant-offboard"
    assert document["hash"] == plan.hash
