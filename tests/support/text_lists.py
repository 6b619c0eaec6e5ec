"""Miniatures of datasets searched by sentences, prepared."""

import json

import pyarrow.parquet as pq
from layout_factory import cuhk_pedes, icfg_pedes, rstpreid, write_records

from reanchor.config.sections.data import Prepare
from reanchor.data.prepare import prepare
from reanchor.formats.manifest import Manifest

SETTINGS = {"height": 24, "width": 12, "validation_share": 0.34, "max_bad_share": 1.0}
GIVEN = {"cuhk_pedes": (cuhk_pedes, "reid_raw.json"), "icfg_pedes": (icfg_pedes, "ICFG-PEDES.json"),
         "rstpreid": (rstpreid, "data_captions.json")}
FIRST = "imgs/cam_a/p10_s1.jpg"  # of CUHK-PEDES' miniature: record 0


def run(root, out, card="cuhk_pedes", **changes):
    """(metrics, manifest, statistics, {path: reasons}, {path: details})."""
    metrics = prepare(Prepare(root=str(root), card=card, reader=card, **SETTINGS | changes), out, 2)
    reasons, details = {}, {}
    for row in pq.read_table(out / "quarantine.parquet").to_pylist():
        reasons.setdefault(row["path"], []).append(row["reason"])
        details[row["path"]] = row["detail"]
    return (metrics, Manifest.read(out / "manifest.parquet"), json.loads((out / "statistics.json").read_text()),
            reasons, details)


def records(root, name="reid_raw.json"):
    return json.loads((root / name).read_text())


def changed(root, position=0, **fields):
    """CUHK-PEDES' miniature with a changed record; a field of ... is taken out."""
    cuhk_pedes(root)
    listed = records(root)
    listed[position] = {key: value for key, value in (listed[position] | fields).items() if value is not ...}
    return write_records(root / "reid_raw.json", listed)
