"""Plans: each photo in one part, for good; what is missing is found again; changes are noticed."""

from __future__ import annotations

import pytest

from everymask.batching import plan as planning
from everymask.batching.keys import ticket
from everymask.batching.listing import Entry
from everymask.batching.manifest import find_manifests, open_manifest
from everymask.batching.plan import PartSize, make_plan
from everymask.batching.storage import Place
from everymask.errors import BatchError, InputError
from everymask.formats.photo_rows import PhotoRow, table_bytes, to_table
from tests.batching.files import SETTINGS, entries, manifest_in

NAMES = [f"{number:03d}.jpg" for number in range(20)]


def planned(plan) -> dict[str, list[str]]:
    return {
        unit.name: [entry.name for entry in unit.entries] for each in plan.pending for unit in each.units()
    }


def land(manifest, unit_name: str, names: list[str], stamp: str = "1") -> None:
    rows = [PhotoRow(ticket(name, stamp), name, name, error="none") for name in names]
    manifest.part(unit_name).write(table_bytes(to_table(rows)))


def test_photos_are_grouped_by_number(tmp_path):
    manifest = manifest_in(tmp_path)
    plan = make_plan(manifest, entries(NAMES), PartSize(photos=8))
    assert (plan.photos, plan.done, plan.added, plan.parts) == (20, 0, 20, 3)
    assert planned(plan) == {
        "000000-0000": NAMES[:8],
        "000000-0001": NAMES[8:16],
        "000000-0002": NAMES[16:],
    }


def test_photos_are_grouped_by_bytes_with_at_least_one_in_a_part(tmp_path):
    sizes = [5, 5, 30, 1, 1, -1]
    listed = [Entry(f"{index}", "/x", "", size, "1") for index, size in enumerate(sizes)]
    plan = make_plan(manifest_in(tmp_path), listed, PartSize(photos=8, bytes=10))
    assert [len(names) for names in planned(plan).values()] == [2, 1, 3]


def test_a_second_plan_is_what_has_not_landed(tmp_path):
    manifest = manifest_in(tmp_path)
    first = planned(make_plan(manifest, entries(NAMES), PartSize(photos=8)))
    land(manifest, "000000-0001", first["000000-0001"])
    again = make_plan(manifest, entries(NAMES), PartSize(photos=3))
    assert (again.photos, again.done, again.added) == (20, 8, 0)
    assert planned(again) == {name: first[name] for name in ("000000-0000", "000000-0002")}


def test_photos_that_come_later_get_parts_of_their_own(tmp_path):
    manifest = manifest_in(tmp_path)
    first = planned(make_plan(manifest, entries(NAMES[5:]), PartSize(photos=8)))
    later = make_plan(manifest, entries(NAMES), PartSize(photos=8))
    assert (later.photos, later.added, later.changed) == (20, 5, 0)
    assert planned(later) == {**first, "000001-0000": NAMES[:5]}


def test_photos_that_are_gone_stay_planned(tmp_path):
    manifest = manifest_in(tmp_path)
    make_plan(manifest, entries(NAMES))
    assert make_plan(manifest, entries(NAMES[:2])).photos == 20


def test_a_photo_listed_twice_is_planned_once(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "LISTED_AT_ONCE", 7)
    plan = make_plan(manifest_in(tmp_path), entries([*NAMES, NAMES[0], NAMES[0], NAMES[19]]))
    assert plan.photos == 20
    assert sorted(name for names in planned(plan).values() for name in names) == NAMES


def test_a_plan_of_many_files_reads_back(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "PARTS_PER_SHARD", 2)
    manifest = manifest_in(tmp_path)
    plan = make_plan(manifest, entries(NAMES), PartSize(photos=3))
    assert [each.shard.name for each in plan.pending] == [f"{number:06d}.parquet" for number in range(4)]
    assert [name for names in planned(plan).values() for name in names] == NAMES


def test_a_changed_photo_is_planned_anew_and_its_old_row_taken_out(tmp_path):
    manifest = manifest_in(tmp_path)
    first = planned(make_plan(manifest, entries(NAMES), PartSize(photos=8)))
    land(manifest, "000000-0000", first["000000-0000"])
    now = [*entries(NAMES[:2], stamp="2"), *entries(NAMES[2:19]), *entries(NAMES[19:], stamp="2")]
    for _ in range(2):  # and once more, to see that it is kept
        plan = make_plan(manifest, now, PartSize(photos=8))
        assert (plan.photos, plan.done) == (20, 6)
        assert planned(plan) == {
            "000000-0001": NAMES[8:16],
            "000000-0002": NAMES[16:19],
            "000001-0000": [*NAMES[:2], NAMES[19]],
        }
    assert rows_of(manifest, "000000-0000") == NAMES[2:8]


def test_a_run_killed_between_noting_changes_and_planning_them_notes_them_again(tmp_path, monkeypatch):
    manifest = manifest_in(tmp_path)
    first = planned(make_plan(manifest, entries(NAMES), PartSize(photos=8)))
    land(manifest, "000000-0000", first["000000-0000"])
    now = [*entries(NAMES[:2], stamp="2"), *entries(NAMES[2:])]
    create = planning._create

    def killed(place, content):
        if place.address.endswith(".parquet"):
            raise KeyboardInterrupt
        create(place, content)

    monkeypatch.setattr(planning, "_create", killed)
    with pytest.raises(KeyboardInterrupt):
        make_plan(manifest, now)
    monkeypatch.setattr(planning, "_create", create)
    assert (manifest.place / "superseded").names()
    plan = make_plan(manifest, now, PartSize(photos=8))
    assert (plan.photos, plan.done) == (20, 6)
    assert planned(plan)["000001-0000"] == NAMES[:2]


def test_a_part_whose_rows_were_all_taken_out_before_a_kill_is_no_obstacle(tmp_path):
    manifest = manifest_in(tmp_path)
    make_plan(manifest, entries(NAMES), PartSize(photos=8))
    land(manifest, "000000-0000", [])
    now = [*entries(NAMES[:8], stamp="2"), *entries(NAMES[8:])]
    plan = make_plan(manifest, now, PartSize(photos=8))
    assert (plan.photos, plan.changed, plan.done) == (20, 8, 0)
    assert planned(plan)["000001-0000"] == NAMES[:8]
    assert rows_of(manifest, "000000-0000") == []


def rows_of(manifest, unit: str) -> list[str]:
    import pyarrow.parquet as pq

    return pq.read_table(manifest.part(unit).path).column("photo").to_pylist()


def test_two_runs_that_plan_at_once_are_told_apart(tmp_path, monkeypatch):
    manifest = manifest_in(tmp_path)

    def meanwhile(place, known, new):
        (manifest.place / "plan" / "000000.parquet").write(b"another run's")
        return 0

    monkeypatch.setattr(planning, "_supersede", meanwhile)
    with pytest.raises(BatchError, match="another run has planned into"):
        make_plan(manifest, entries(NAMES))


def test_names_that_are_no_text_come_back(tmp_path):
    plan = make_plan(manifest_in(tmp_path), entries(["caf\udce9.jpg"]))
    (unit,) = plan.pending[0].units()
    assert unit.entries[0].source == "/photos/caf\udce9.jpg"


def test_other_settings_are_another_manifest_and_it_is_said(tmp_path):
    first, said = open_manifest(Place.of(tmp_path), SETTINGS)
    assert said == ""
    other, said = open_manifest(Place.of(tmp_path), {**SETTINGS, "points_per_side": 16})
    assert other.place != first.place
    assert "points_per_side: 2 -> 16" in said
    assert "what was made before stays" in said
    again, said = open_manifest(Place.of(tmp_path), SETTINGS)
    assert (again, said) == (first, "")
    assert len(find_manifests(Place.of(tmp_path))) == 2


def test_a_manifest_of_another_kind_is_refused(tmp_path):
    (tmp_path / "batch-0").mkdir()
    (tmp_path / "batch-0" / "manifest.json").write_text('{"format": "everymask batch 9"}', "utf-8")
    with pytest.raises(InputError, match="another version"):
        find_manifests(Place.of(tmp_path))


def test_an_output_that_cannot_be_written_is_said_in_a_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BatchError, match=r"cannot write to .*file"):
        open_manifest(Place.of(tmp_path / "file"), SETTINGS)
