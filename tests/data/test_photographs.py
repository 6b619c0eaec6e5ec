"""Which picture files a command line names."""

import pytest

from reanchor.data.photographs import find_pictures
from reanchor.errors import ReanchorError


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/2.jpg", "a/10.JPEG", "a/deep/x.tif", "a/.hidden.png", "a/.trash/y.png", "a/notes.txt", "b/[1].bmp",
                 "b/video.mp4", "single.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(("named", "found"), [
    (["a"], ["a/10.JPEG", "a/2.jpg", "a/deep/x.tif"]),  # no hidden ones, no other suffixes
    (["."], ["a/10.JPEG", "a/2.jpg", "a/deep/x.tif", "b/[1].bmp"]),
    (["single.webp", "a/2.jpg"], ["a/2.jpg", "single.webp"]),  # a file that is named is tried, whatever its suffix
    (["a/*.jpg", "a/deep/../2.jpg", "./a/2.jpg"], ["a/2.jpg"]),
    (["**/*.tif"], ["a/deep/x.tif"]), (["b/[1].bmp"], ["b/[1].bmp"]), (["b/*"], ["b/[1].bmp", "b/video.mp4"]),
])
def test_files_folders_and_globs(place, named, found):
    assert find_pictures(named) == found == find_pictures(named[::-1])


@pytest.mark.parametrize(("name", "said"), [
    ("none.jpg", "none.jpg: names no picture; allowed: files, folders and globs"), ("*.gif", "names no picture"),
    ("empty", "allowed: a folder that holds .jpg, .jpeg, .png, .tif, .tiff, .bmp files")])
def test_a_name_of_nothing_is_refused(place, name, said):
    (place / "empty").mkdir()
    with pytest.raises(ReanchorError) as caught:
        find_pictures(["a", name])
    assert said in str(caught.value)
