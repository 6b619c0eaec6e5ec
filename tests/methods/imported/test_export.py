"""Weights out and in again, bit by bit, and both commands as they are typed."""

import inspect
import shlex

import open_clip
import pytest
import torch
from authors_files import TINY, golden_checkpoint, resnet_checkpoint, vit_checkpoint, write
from golden_files import golden, tiny_clip, tiny_resnet_clip
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file

from reanchor.cli import import_
from reanchor.cli.main import main
from reanchor.clip.model import Clip
from reanchor.config.setting import settings_of
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.clip_reid.store import read_reid, save_reid
from reanchor.methods.imported.exporting import export_model
from reanchor.methods.imported.importing import import_model
from reanchor.methods.imported.settings import Imported
from reanchor.methods.saga.store import save_saga


def fine_tuned(folder, clip: Clip, side: SideSettings | None = None, token_block: int = 0) -> tuple:
    """A saved model with weights off their start, its folder and its spec."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = ReidModel(clip.image_encoder(), 5, side, token_block)
    model.initialise(torch.Generator().manual_seed(1))
    for neck in (model.neck, model.neck_projected):
        neck.running_mean.normal_()
        neck.running_var.uniform_(0.5, 2.0)
        neck.num_batches_tracked += 7
    save_reid(model, clip.spec, "clip_reid", folder)
    return model.eval(), folder, clip.spec


def flags_of(notes: list[str]) -> list[str]:
    (flags,) = (note.partition("again: ")[2] for note in notes if "again: " in note)
    return shlex.split(flags)


CASES = {
    "vit": (lambda: tiny_clip((256, 128)), None, 0),
    "olp": (lambda: tiny_clip((256, 128), 12), None, 0),
    "sie": (tiny_clip, SideSettings("camera", 6, 1), 0),
    "sie_views": (tiny_clip, SideSettings("view", 6, 3, 2.5), 0),
    "sie_both_olp": (lambda: tiny_clip((64, 32), 12), SideSettings("both", 6, 3), 0),
    "sie_all": (tiny_clip, SideSettings("camera", 6, 1, 0.5, "all"), 0),
    "token_head": (tiny_clip, None, 2),
    "resnet": (lambda: tiny_resnet_clip((256, 128)), None, 0),
}


@pytest.mark.parametrize("case", CASES)
@torch.inference_mode()
def test_a_model_comes_back_from_the_authors_naming_bit_by_bit(tmp_path, case):
    make, side, token_block = CASES[case]
    model, folder, spec = fine_tuned(tmp_path / "model", make(), side, token_block)
    notes = export_model(folder, "clip-reid", tmp_path / "model.pth")
    assert main(["import", str(tmp_path / "model.pth"), "--out", str(tmp_path / "again"), *flags_of(notes)]) == 0
    again, spec_again, _ = read_reid(tmp_path / "again")
    kept = {name: value for name, value in model.state_dict().items() if "token" not in name}
    assert kept.keys() == again.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in kept.items())
    assert (spec_again.image_size, spec_again.stride, spec_again.mean) == (spec.image_size, spec.stride, spec.mean)
    images, sides = torch.randn(2, 3, *spec.image_size), torch.tensor([1, 2]) if side else None
    for a, b in zip(model.encode(images, sides).features.values(), again.eval().encode(images, sides).features.values(),
                    strict=True):
        assert torch.equal(a, b)
    assert any("patch tokens" in note for note in notes) == (token_block > 0)
    assert ("sie_embed" in torch.load(tmp_path / "model.pth", weights_only=True)) == (case == "sie_all")


@pytest.mark.parametrize("state", [golden_checkpoint, resnet_checkpoint, lambda: vit_checkpoint((256, 128), 12)])
def test_an_authors_file_comes_out_as_it_went_in(tmp_path, state):
    state = state()
    size = TINY if "cv_embed" in state else {}
    import_model(Imported(path=str(write(state, tmp_path / "theirs.pth")), **size), tmp_path / "model")
    export_model(tmp_path / "model", "clip-reid", tmp_path / "ours.pth")
    ours = torch.load(tmp_path / "ours.pth", weights_only=True)
    want = {name: value for name, value in state.items() if not name.startswith("text_encoder.")}
    assert ours.keys() == want.keys()
    assert all(torch.equal(value, ours[name]) and value.dtype == ours[name].dtype for name, value in want.items())


def test_the_same_model_gives_the_same_bytes(tmp_path):
    _, folder, _ = fine_tuned(tmp_path / "model", tiny_clip())
    for name in ("a.pth", "b.pth"):
        export_model(folder, "clip-reid", tmp_path / name)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


@pytest.mark.parametrize(("make", "suffix"), [(tiny_clip, ".safetensors"), (tiny_resnet_clip, ".pt")])
@torch.inference_mode()
def test_open_clip_s_own_network_reads_its_file(tmp_path, make, suffix):
    clip = make()
    model, folder, spec = fine_tuned(tmp_path / "model", clip)
    model.encoder.visual.conv1.weight.data.add_(1.0)
    save_reid(model, spec, "clip_reid", folder)
    (tmp_path / "clip").mkdir()
    clip.save(tmp_path / "clip")
    out = tmp_path / f"model{suffix}"
    notes = export_model(folder, "open-clip", out, tmp_path / "clip")
    assert any("force_image_size=(64, 32)" in note for note in notes)
    state = load_file(out) if suffix == ".safetensors" else torch.load(out, weights_only=True)
    assert torch.equal(state["token_embedding.weight"], clip.network.token_embedding.weight)
    assert torch.equal(state["visual.conv1.weight"], model.encoder.visual.conv1.weight)
    if make is tiny_clip:
        arch = spec.architecture
        tower = CLIPVisionCfg(**{**arch["vision_cfg"], "image_size": (64, 32)})
        text = CLIPTextCfg(**arch["text_cfg"])
        network = open_clip.model.CLIP(arch["embed_dim"], tower, text, quick_gelu=True).eval()
        network.load_state_dict(state)
        images = golden("A_vit_outputs")["image"]
        torch.testing.assert_close(network.encode_image(images), model.encode(images, None).projected)
    else:
        assert any("stride 2 there" in note for note in notes)


def test_models_without_such_names_and_wrong_targets_are_refused(tmp_path):
    _, folder, _ = fine_tuned(tmp_path / "model", tiny_clip())
    for name, clip in (("clip", tiny_clip()), ("other", tiny_resnet_clip())):
        (tmp_path / name).mkdir()
        clip.save(tmp_path / name)
    for source, form, out, clip, message in [
        (tmp_path / "clip", "clip-reid", "x.pth", None, "got kind 'clip'; allowed: .* of kind clip_reid"),
        (tmp_path / "none", "clip-reid", "x.pth", None, "no model here"),
        (folder, "clip-reid", "x.bin", None, "got .*x.bin for --to clip-reid; allowed: a file ending in .pth or .pt"),
        (folder, "open-clip", "x.pth", tmp_path / "clip", "ending in .safetensors or .pt"),
        (folder, "open-clip", "x.pt", None, "--clip: not given"),
        (folder, "open-clip", "x.pt", folder, "--clip: got .*model, which is no CLIP"),
        (folder, "open-clip", "x.pt", tmp_path / "other", "--clip: its image tower has"),
    ]:
        with pytest.raises(ReanchorError, match=message) as caught:
            export_model(source, form, tmp_path / out, clip)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*x.*"))


def test_damaged_files_beside_the_model_are_one_line(tmp_path):
    _, folder, _ = fine_tuned(tmp_path / "model", tiny_clip())
    (tmp_path / "clip").mkdir()
    tiny_clip().save(tmp_path / "clip")
    (tmp_path / "clip/weights.safetensors").write_bytes(b"1234")
    (folder / "prompts.safetensors").write_bytes(b"1234")
    with pytest.raises(ReanchorError, match=r"clip: not a whole model .*weights.safetensors: damaged"):
        export_model(folder, "open-clip", tmp_path / "x.pt", tmp_path / "clip")
    with pytest.raises(ReanchorError, match=r"prompts.safetensors is no readable checkpoint .its header claims"):
        export_model(folder, "clip-reid", tmp_path / "x.pth")
    (tmp_path / "clip/model.json").write_text("{")
    with pytest.raises(ReanchorError, match=r"clip/model.json: got what is no JSON"):
        export_model(folder, "open-clip", tmp_path / "x.pt", tmp_path / "clip")
    assert not list(tmp_path.glob("*x.*"))


def test_commands_print_a_table_or_one_line(tmp_path, capsys):
    file = write(golden_checkpoint(), tmp_path / "theirs.pth")
    size = ["--height", "64", "--width", "32"]
    assert main(["import", str(file), "--out", str(tmp_path / "model"), *size]) == 0
    said = capsys.readouterr().out
    assert "image_encoder" in said and "7 identities" in said and "imported.path=" in said
    assert main(["export", str(tmp_path / "model"), "--to", "clip-reid", "--out", str(tmp_path / "m.pth")]) == 0
    assert "--height 64 --width 32" in capsys.readouterr().out
    assert main(["import", str(file), "--out", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("reanchor import: ") and said.count("\n") == 1 and "fit none of" in said
    assert main(["import", str(file), "--out", str(tmp_path / "x"), "--height", "-4", "--width", "3"]) == 2
    assert "imported.height: got -4; allowed: at least 0 and at most 1024" in capsys.readouterr().err
    assert main(["import", str(file)]) == 2
    assert "Missing option '--out'" in capsys.readouterr().err


def test_an_import_replaces_nothing_but_a_model(tmp_path, capsys):
    file = write(golden_checkpoint(), tmp_path / "theirs.pth")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/photo.jpg").write_bytes(b"1")
    for out, message in ((tmp_path / "data", "holds something else"), (file, "is or holds the file"),
                         (tmp_path, "is or holds the file to import"), (tmp_path / "data/photo.jpg", "something else")):
        assert main(["import", str(file), "--out", str(out), "--height", "64", "--width", "32"]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "data/photo.jpg").read_bytes() == b"1" and file.is_file()
    for _ in range(2):  # a model may be replaced by a model
        assert main(["import", str(file), "--out", str(tmp_path / "model"), "--height", "64", "--width", "32"]) == 0
    (tmp_path / "blocked").write_text("")
    assert main(["import", str(file), "--out", str(tmp_path / "blocked/model"), "--height", "64", "--width", "32"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_every_setting_of_the_section_is_a_flag():
    flags = set(inspect.signature(import_.import_).parameters) - {"file", "out"}
    assert flags == set(settings_of(Imported)) - {"path"}


def test_a_saga_model_is_not_exported(tmp_path):
    from reanchor.methods.saga.anchors import FreeAnchors
    from reanchor.methods.saga.head import SagaHead

    model, _, spec = fine_tuned(tmp_path / "model", tiny_clip())
    (tmp_path / "saga").mkdir()
    head = SagaHead(FreeAnchors(4, 64), None, 1, 1, 64, 5, 1)
    save_saga(head, torch.zeros(4, 64), model, spec, (1,), (1.0, 0.0, 0.0), tmp_path / "saga")
    with pytest.raises(ReanchorError, match="got kind 'saga'"):
        export_model(tmp_path / "saga", "clip-reid", tmp_path / "x.pth")
    (outcome,) = import_model(Imported(path=str(tmp_path / "saga")), tmp_path / "out")
    assert outcome.note == "kind saga, copied as it is"
