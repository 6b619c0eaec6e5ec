"""Cards of what has no authors' split: data of the user's own, and the street rendered here."""

from reanchor.data.cards.card import Card
from reanchor.data.cards.persons import MARKET_FOLDERS

NONE = Card(
    name="none", title="your own data", reader="", layout="any that a reader knows", source="", terms="yours",
    camera_rule="auto", junk=True, distractors=True, published=False)

FOLDER = Card(
    name="folder", title="a folder per identity", reader="folder",
    layout="{train,query,gallery}/PID/*.jpg, or PID/*.jpg: then half of the identities train, half test",
    source="", terms="yours", camera_rule="auto", junk=True, distractors=True, published=False)

CSV = Card(
    name="csv", title="a table of images", reader="csv",
    layout="prepare.table (dataset.csv) in prepare.root: path,pid,camid[,split,viewid,caption]",
    source="", terms="yours", camera_rule="auto", junk=True, distractors=True, published=False)

STREETFOLK = Card(
    name="streetfolk", title="Streetfolk", reader="market1501",
    layout="Market-1501's folders and names, rendered by the first stage", source="rendered here",
    terms="as this repository", junk=True, distractors=True, published=False, needs=(MARKET_FOLDERS,),
    counts={"cameras": 6})  # the other counts are settings

CARDS = (FOLDER, CSV, STREETFOLK, NONE)
