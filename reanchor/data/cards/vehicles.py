"""Cards of vehicle datasets."""

from reanchor.data.cards.card import Card

VERI776 = Card(
    name="veri776", title="VeRi-776", reader="veri776", kind="vehicle",
    layout="image_train, image_query, image_test; PID_cCAM_FRAME_INDEX.jpg; if wanted keypoint_train.txt "
           "and keypoint_test.txt (views)",
    source='Liu et al., "Large-scale Vehicle Re-identification in Urban Surveillance Videos", ICME 2016',
    terms="on request from its authors, for research", needs=(("image_train", "image_query", "image_test"),),
    counts={"train_images": 37_778, "query_images": 1_678, "query_identities": 200,
            "gallery_images": 11_579, "gallery_identities": 200, "cameras": 20})

VEHICLEID = Card(
    name="vehicleid", title="VehicleID", reader="vehicleid", kind="vehicle",
    layout="image/NAME.jpg; train_test_split/train_list.txt, test_list_{800,1600,2400}.txt with `NAME PID` lines",
    source='Liu et al., "Deep Relative Distance Learning: Tell the Difference Between Similar Vehicles", '
           'CVPR 2016',
    terms="on request from its authors, for research", cameras="none", camera_rule="none", galleries=10,
    needs=(("image", "train_test_split"),), lists=("train_test_split/train_list.txt",),
    counts={"train_images": 113_346, "train_identities": 13_164},
    variants={  # one gallery image per vehicle, the rest are queries
        "small": {"query_images": 5_693, "gallery_images": 800, "gallery_identities": 800},
        "medium": {"query_images": 11_777, "gallery_images": 1_600, "gallery_identities": 1_600},
        "large": {"query_images": 17_377, "gallery_images": 2_400, "gallery_identities": 2_400},
    })

CARDS = (VERI776, VEHICLEID)
