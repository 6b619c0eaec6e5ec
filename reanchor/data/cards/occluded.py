"""Cards of person datasets whose queries are occluded or cut off."""

from reanchor.data.cards.card import TEST_SPLITS, Card
from reanchor.data.cards.persons import DUKE_TERMS, DUKE_WITHDRAWN, MARKET_FOLDERS

ZHUO = 'Zhuo et al., "Occluded Person Re-identification", ICME 2018'

OCCLUDED_DUKE = Card(
    name="occluded_duke", title="Occluded-Duke", reader="dukemtmc_reid",
    layout="bounding_box_train, query, bounding_box_test; PID_cCAM_fFRAME.jpg",
    source='Miao et al., "Pose-Guided Feature Alignment for Occluded Person Re-Identification", ICCV 2019',
    terms=DUKE_TERMS, withdrawn=DUKE_WITHDRAWN, needs=(MARKET_FOLDERS,),
    counts={"train_images": 15_618, "query_images": 2_210, "query_identities": 519,
            "gallery_images": 17_661, "gallery_identities": 1_110, "cameras": 8})

P_DUKEMTMC = Card(
    name="p_dukemtmc", title="P-DukeMTMC-reID", reader="p_dukemtmc",
    layout="{train,test}/{occluded_body_images,whole_body_images}/PID/PID_*.jpg",
    source=ZHUO, terms=DUKE_TERMS, withdrawn=DUKE_WITHDRAWN, cameras="made", camera_rule="none",
    needs=(("train/occluded_body_images", "train/whole_body_images", "test/occluded_body_images",
            "test/whole_body_images"),),
    totals={"images": 24_143, "identities": 1_299})  # its authors' README

OCCLUDED_REID = Card(
    name="occluded_reid", title="Occluded-REID", reader="occluded_reid",
    layout="{occluded_body_images,whole_body_images}/PID/PID_INDEX.tif",
    source=ZHUO, terms="academic or educational use only, not commercial", splits=TEST_SPLITS,
    cameras="made", camera_rule="none", needs=(("occluded_body_images", "whole_body_images"),),
    counts={"query_images": 1_000, "query_identities": 200, "gallery_images": 1_000,
            "gallery_identities": 200})

PARTIAL_REID = Card(
    name="partial_reid", title="Partial-REID", reader="partial_reid",
    layout="partial_body_images, whole_body_images; PID_INDEX.jpg",
    source='Zheng et al., "Partial Person Re-Identification", ICCV 2015',
    terms="research; ask its authors", splits=TEST_SPLITS, cameras="made", camera_rule="none",
    needs=(("partial_body_images", "whole_body_images"),),
    counts={"query_images": 300, "query_identities": 60, "gallery_images": 300, "gallery_identities": 60})

PARTIAL_ILIDS = Card(
    name="partial_ilids", title="Partial-iLIDS", reader="partial_ilids",
    layout="Probe, Gallery (or query, gallery); PID.jpg",
    source='Zheng et al., "Person Re-identification by Probabilistic Relative Distance Comparison", CVPR '
           '2011; split of He et al., "Deep Spatial Feature Reconstruction", CVPR 2018',
    terms="research; ask its authors", splits=TEST_SPLITS, cameras="made", camera_rule="none",
    needs=(("Probe", "Gallery"), ("query", "gallery")),
    counts={"query_images": 119, "query_identities": 119, "gallery_images": 119, "gallery_identities": 119})

OCCLUDED_MARKET = Card(
    name="occluded_market", title="Occluded-Market", reader="occluded_market",
    layout="occluded_train, occluded_query, bounding_box_test; PID_cCAMsSEQ_FRAME[_BOX].jpg",
    source="a re-split of Market-1501 (ICCV 2015) and MARS (ECCV 2016), as SAGA-ReID's code reads it",
    terms="those of Market-1501 and MARS: research", junk=True, distractors=True,
    needs=(("occluded_train", "occluded_query", "bounding_box_test"),),
    counts={"train_images": 9_287, "query_images": 2_343, "cameras": 6})

CARDS = (OCCLUDED_DUKE, P_DUKEMTMC, OCCLUDED_REID, PARTIAL_REID, PARTIAL_ILIDS, OCCLUDED_MARKET)
