"""Miniatures of published layouts: a few identities each, names as in the real sets, random pixels."""

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from data_factory import market, picture

_seeds = itertools.count(1)  # no two files are equal unless a test wants them to be


def fill(root: Path, names: Iterable[str]) -> Path:
    for name in names:
        picture(root / name, next(_seeds))
    return root


def folders_of(root: Path, folders: tuple[str, str, str], name: Callable[[int, int, int], str], train: int = 4) -> Path:
    """`train` training identities, two test identities in two cameras: two images each, the first a query."""
    people, cameras, images = range(1, train + 3), (1, 2), (0, 1)
    return fill(root, (
        f"{folders[0] if pid <= train else folders[1] if image == 0 else folders[2]}/{name(pid, camera, image)}"
        for pid, camera, image in itertools.product(people, cameras, images)))


MARKET = ("bounding_box_train", "query", "bounding_box_test")


def duke(root: Path) -> Path:
    return folders_of(root, MARKET, lambda pid, camera, image: f"{pid:04d}_c{camera}_f{image:07d}.jpg")


def cuhk03_np(root: Path) -> Path:
    """The folder above detected and labeled."""
    for boxes in ("detected", "labeled"):
        folders_of(root / boxes, MARKET, lambda pid, camera, image: f"{pid:04d}_c{camera}_{image}.png")
    return root


def occluded_market(root: Path) -> Path:
    """Training and query names of both origins; one distractor and one junk image."""
    def name(pid: int, camera: int, image: int) -> str:
        return f"{pid:04d}_c{camera}s1_{image:06d}" + ("_01" * (pid % 2)) + ".jpg"

    folders_of(root, ("occluded_train", "occluded_query", "bounding_box_test"), name)
    return fill(root, ("bounding_box_test/0000_c1s1_000001_00.jpg", "bounding_box_test/-1_c1s1_000002_00.jpg"))


def pairs(root: Path, people: int = 4, images: int = 2, suffix: str = "tif", first: int = 1) -> Path:
    """Occluded-REID's layout."""
    return fill(root, (f"{side}_body_images/{pid:03d}/{pid:03d}_{image:02d}.{suffix}"
                       for side in ("occluded", "whole") for pid in range(first, first + people)
                       for image in range(1, images + 1)))


def p_dukemtmc(root: Path) -> Path:
    return fill(root, (f"{split}/{side}_body_images/{pid:04d}/{pid:04d}_c{image + 1}_f{image:07d}.jpg"
                       for split, people in (("train", range(1, 5)), ("test", range(5, 8)))
                       for side in ("occluded", "whole") for pid in people for image in range(2)))


def partial_reid(root: Path) -> Path:
    return fill(root, (f"{side}_body_images/{pid:03d}_{image:03d}.jpg" for side in ("partial", "whole", "occluded")
                       for pid in range(1, 4) for image in (1, 2)))


def partial_ilids(root: Path, folders: tuple[str, str] = ("Probe", "Gallery"), first: int = 1) -> Path:
    return fill(root, (f"{folder}/{pid:03d}.jpg" for folder in folders for pid in range(first, first + 3)))


def msmt17(root: Path, version: str = "V1") -> Path:
    """People 0 to 3 train (the last image of each in list_val), others with the numbers 0 to 2 test."""
    train, test = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}[version]
    lists: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    for folder, people, parts in ((train, 4, ("train", "val")), (test, 3, ("query", "gallery"))):
        for pid, image in itertools.product(range(people), range(4)):
            name = f"{pid:04d}/{pid:04d}_{image:03d}_{1 + image % 2:02d}_0303morning_{image:04d}_0.jpg"
            picture(root / folder / name, next(_seeds))
            second = image == 3 if folder == train else image > 1
            lists[parts[second]].append(f"{name} {pid}\n")
    for name, lines in lists.items():
        (root / f"list_{name}.txt").write_text("".join(lines))
    return root


def veri776(root: Path) -> Path:
    folders_of(root, ("image_train", "image_query", "image_test"),
               lambda pid, camera, image: f"{pid:04d}_c{camera:03d}_{30600 + image:08d}_0.jpg")
    for query in sorted((root / "image_query").iterdir()):  # the real gallery holds the queries too
        (root / "image_test" / query.name).write_bytes(query.read_bytes())
    return root


def vehicleid(root: Path, first: int = 1) -> Path:
    """Vehicles 1 to 4 train; 5 and 6 are in every test list, 7 only in those of 1,600 and 2,400."""
    number, lines = itertools.count(1), {"train": [], 800: [], 1600: [], 2400: []}
    for pid in range(7):
        for _ in range(3):
            name = f"{next(number):07d}"
            picture(root / "image" / f"{name}.jpg", next(_seeds))
            for key in ("train",) if pid < 4 else (800, 1600, 2400) if pid < 6 else (1600, 2400):
                lines[key].append(f"{name} {pid + first}\n")
    folder = root / "train_test_split"
    folder.mkdir()
    (folder / "train_list.txt").write_text("".join(lines["train"]))
    for size in (800, 1600, 2400):
        (folder / f"test_list_{size}.txt").write_text("".join(lines[size]))
    return root


def pku_reid(root: Path) -> Path:
    return fill(root, (f"PKUv1a_128x48/{pid:03d}_{camera:02d}_{image:02d}.png" for pid in range(1, 9)
                       for camera in (1, 2) for image in range(1, 4)))


def viper(root: Path, numbers: Iterable[int] = (0, 1, 2, 5, 7, 9, 11, 12, 30)) -> Path:
    """Nine people with VIPeR's gaps between their numbers, one picture in each camera."""
    return fill(root, (f"cam_{camera}/{number:03d}_{angle}.bmp" for number in numbers
                       for camera, angle in (("a", 45), ("b", 90 + number % 2 * 45))))


def cuhk01(root: Path, people: int = 9) -> Path:
    return fill(root, (f"campus/{pid:04d}{image:03d}.png" for pid in range(1, people + 1)
                       for image in (1, 2, 3, 4)))


def mp_reid(root: Path, camera: Callable[[int], str] = "{:02d}".format) -> Path:
    """Identities 1 to 4 train, 5 and 6 validate, 7 to 9 test; two pictures each from cameras 1, 2, 7, 11, 13 and 14.

    Camera 2 saw nobody with an odd number. The experiment of infrared and colour on the ground, and one in the air.
    """
    for number in range(1, 15):
        (root / camera(number)).mkdir(parents=True)
    fill(root, (f"{camera(number)}/{pid:04d}/{image:04d}.jpg" for number in (1, 2, 7, 11, 13, 14)
                for pid in range(1, 10) if number != 2 or pid % 2 == 0 for image in (1, 2)))
    for experiment in ("exp_cctv_ir_cctv_rgb", "exp_uav_ir_uav_rgb"):
        (root / "split" / experiment).mkdir(parents=True)
        for name, pids in (("train", "1,2,3,4"), ("val", "5,6"), ("test", "9,7,8")):
            (root / "split" / experiment / f"{name}_id.txt").write_text(pids)
    return root


def described(root: Path, name: str, images: dict[str, Iterable[str]], first: int, key: str = "file_path",
              captions: int = 2) -> Path:
    """imgs/ and the list `name`: `images` by split ("train", "val", "test"), two of each identity in turn."""
    records, pid = [], first
    for split, paths in images.items():
        for number, path in enumerate(paths):
            picture(root / "imgs" / path, next(_seeds))
            texts = [f"A person with bag {pid}, picture {number}, says writer {writer}." for writer in range(captions)]
            records.append({"split": split, "captions": texts, key: path, "id": pid, "processed_tokens": [["a"]]})
            pid += number % 2
    return write_records(root / name, records)


def write_records(path: Path, records: list) -> Path:
    """Write a list of described images; returns its folder."""
    path.write_text(json.dumps(records))
    return path.parent


def cuhk_pedes(root: Path) -> Path:
    """Eight training, two validation and two test identities, from all seven sources."""
    def names(sources: str, first: int) -> list[str]:
        return [f"{source}/p{first + person}_s{image}.jpg" for person, source in enumerate(sources.split())
                for image in (1, 2)]

    return described(root, "reid_raw.json", {
        "train": names("cam_a cam_b CUHK01 CUHK03 Market train_query cam_a cam_b", 10),
        "val": names("CUHK03 Market", 20), "test": names("test_query Market", 30)}, first=1)


def icfg_pedes(root: Path) -> Path:
    """MSMT17's folders and names, mixed between the splits; one caption each, identities from 0."""
    def names(folder: str, first: int, people: int) -> list[str]:
        return [f"{folder}/{pid:04d}/{pid:04d}_{image:03d}_{1 + image:02d}_0303morning_0001_0.jpg"
                for pid in range(first, first + people) for image in (0, 1)]

    return described(root, "ICFG-PEDES.json", {"train": names("train", 0, 3) + names("test", 0, 3),
                                               "test": names("train", 10, 1) + names("test", 10, 1)}, 0, captions=1)


def rstpreid(root: Path) -> Path:
    def names(first: int, people: int) -> list[str]:
        return [f"{pid:04d}_c{1 + image}_{pid + image:04d}.jpg" for pid in range(first, first + people)
                for image in (0, 1)]

    return described(root, "data_captions.json", {"train": names(0, 4), "val": names(4, 2), "test": names(6, 2)}, 0,
                     key="img_path")


LAYOUTS: dict[str, Callable[[Path], Path]] = {  # by card
    "market1501": market, "msmt17": msmt17, "dukemtmc_reid": duke, "occluded_duke": duke, "p_dukemtmc": p_dukemtmc,
    "occluded_reid": pairs, "partial_reid": partial_reid, "partial_ilids": partial_ilids,
    "occluded_market": occluded_market, "cuhk03_np": lambda root: cuhk03_np(root) / "detected",
    "pku_reid": pku_reid, "veri776": veri776, "vehicleid": vehicleid, "cuhk_pedes": cuhk_pedes,
    "icfg_pedes": icfg_pedes, "rstpreid": rstpreid, "viper": viper, "cuhk01": cuhk01, "mp_reid": mp_reid,
}
