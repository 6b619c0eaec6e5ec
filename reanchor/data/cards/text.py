"""Cards of datasets whose images are described in sentences: the sentences are the queries.

Counts of images and identities are the papers' (MGCC's appendix C has all three); those of CUHK-PEDES'
sentences are by split as public code lists them, 80,440 in all, where MGCC's paper says 80,412. Test
images are the gallery.
"""

from reanchor.data.cards.card import Card

TERMS = "research only"
IMAGES = (("imgs",),)
SOURCE_FOLDERS = ("cam_a", "cam_b", "CUHK01", "CUHK03", "Market", "test_query", "train_query")

CUHK_PEDES = Card(
    name="cuhk_pedes", title="CUHK-PEDES", reader="cuhk_pedes",
    layout="imgs/{cam_a,cam_b,CUHK01,CUHK03,Market,test_query,train_query}; reid_raw.json",
    source='Li et al., "Person Search with Natural Language Description", CVPR 2017',
    terms=f"{TERMS}; on request from its authors", splits=("train", "val", "gallery"), cameras="none",
    camera_rule="none", needs=IMAGES, records=("reid_raw.json", "caption_all.json"), folders=SOURCE_FOLDERS,
    counts={
        "train_images": 34_054, "train_identities": 11_003, "train_sentences": 68_126,
        "val_images": 3_078, "val_identities": 1_000, "val_sentences": 6_158,
        "gallery_images": 3_074, "gallery_identities": 1_000, "gallery_sentences": 6_156,
    })

ICFG_PEDES = Card(
    name="icfg_pedes", title="ICFG-PEDES", reader="icfg_pedes",
    layout="imgs/{train,test}/PID/PID_INDEX_CAM_*.jpg (MSMT17's folders, not the split); ICFG-PEDES.json",
    source='Ding et al., "Semantically Self-Aligned Network for Text-to-Image Part-aware Person Re-identification", '
           "arXiv 2107.12666",
    terms=f"{TERMS}; on request from its authors, and those of MSMT17", splits=("train", "gallery"),
    camera_rule="none", needs=IMAGES, records=("ICFG-PEDES.json", "ICFG_PEDES.json"), folders=("train", "test"),
    counts={
        "train_images": 34_674, "train_identities": 3_102, "train_sentences": 34_674,
        "gallery_images": 19_848, "gallery_identities": 1_000, "gallery_sentences": 19_848, "cameras": 15,
    })

RSTPREID = Card(
    name="rstpreid", title="RSTPReid", reader="rstpreid",
    layout="imgs/PID_cCAM_INDEX.jpg; data_captions.json",
    source='Zhu et al., "DSSL: Deep Surroundings-person Separation Learning for Text-based Person Retrieval", ACM MM '
           "2021",
    terms=f"{TERMS}; as on its authors' page, and those of MSMT17", splits=("train", "val", "gallery"),
    camera_rule="none", needs=IMAGES, records=("data_captions.json",),
    counts={
        "train_images": 18_505, "train_identities": 3_701, "train_sentences": 37_010,
        "val_images": 1_000, "val_identities": 200, "val_sentences": 2_000,
        "gallery_images": 1_000, "gallery_identities": 200, "gallery_sentences": 2_000, "cameras": 15,
    })

CARDS = (CUHK_PEDES, ICFG_PEDES, RSTPREID)
