"""The avatar's folder: parts come back as they were put in, and altered ones are refused."""

import json

import pytest
import torch
from torch import nn

from readavatar.data.store.avatar import Avatar, load_network, write_avatar_part
from readavatar.errors import UserError

CONFIG = {"network": {"in_features": 3, "out_features": 2}, "emotion_names": ["happy", "sad"]}


@pytest.fixture
def avatar(tmp_path):
    write_avatar_part(tmp_path / "jane", "expression", nn.Linear(3, 2), CONFIG, tmp_path / "clips" / "jane")
    return tmp_path / "jane"


def test_a_network_comes_back_as_it_was(tmp_path):
    network = nn.Linear(3, 2)
    write_avatar_part(tmp_path / "jane", "expression", network, CONFIG, tmp_path / "clips" / "jane")
    avatar = Avatar(tmp_path / "jane")
    part = avatar.part("expression")
    rebuilt = load_network(nn.Linear(**part.config["network"]), part)
    assert torch.equal(rebuilt.weight, network.weight) and not rebuilt.weight.requires_grad
    assert avatar.emotion_space.names == ("happy", "sad")
    assert avatar.card.footage == "../clips/jane" and avatar.card.name == "jane"


def test_parts_are_added_to_those_that_are_there(avatar, tmp_path):
    write_avatar_part(avatar, "appearance", nn.Linear(1, 1), {"network": {}}, tmp_path / "clips" / "jane")
    assert set(Avatar(avatar).card.parts) == {"expression", "appearance"}


def test_a_part_that_is_not_trained_says_what_to_run(avatar):
    with pytest.raises(UserError, match=r"configs/appearance/default\.yaml"):
        Avatar(avatar).part("appearance")


def test_altered_weights_are_refused(avatar):
    with (avatar / "expression.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="altered"):
        Avatar(avatar).part("expression")


def test_a_network_of_other_size_is_refused(avatar):
    with pytest.raises(UserError, match="size mismatch"):
        load_network(nn.Linear(3, 5), Avatar(avatar).part("expression"))


@pytest.mark.parametrize("content", ["{}", "not json", '{"name": 1, "footage": "x", "wrong": 2}'])
def test_a_folder_that_is_no_avatar_is_refused(tmp_path, content):
    (tmp_path / "avatar.json").write_text(content)
    with pytest.raises(UserError, match=r"avatar\.json"):
        Avatar(tmp_path)


def test_another_format_version_is_refused(avatar):
    card = json.loads((avatar / "avatar.json").read_text())
    (avatar / "avatar.json").write_text(json.dumps({**card, "version": 99}))
    with pytest.raises(UserError, match="format"):
        Avatar(avatar)


def test_a_missing_avatar_says_how_to_train_one(tmp_path):
    with pytest.raises(UserError, match="readavatar fit"):
        Avatar(tmp_path / "none")


def test_weights_of_a_diverged_training_are_never_stored(avatar, tmp_path):
    network = nn.Linear(3, 2)
    network.weight.data[0, 1] = float("nan")
    with pytest.raises(UserError, match="diverged"):
        write_avatar_part(avatar, "expression", network, CONFIG, tmp_path / "clips" / "jane")
    assert Avatar(avatar).part("expression").state["weight"].isfinite().all()


@pytest.mark.parametrize("part", [{}, {"sha256": "12", "config": {}}, {"sha256": "0" * 64, "config": None}, "weights"])
def test_a_card_whose_part_is_none_is_refused(avatar, part):
    card = json.loads((avatar / "avatar.json").read_text())
    (avatar / "avatar.json").write_text(json.dumps({**card, "parts": {"expression": part}}))
    with pytest.raises(UserError, match=r"avatar\.json"):
        Avatar(avatar)
