"""Claims on loading: which encoder, from which weights, under which fingerprint."""

from __future__ import annotations

import sys

import pytest
import torch

from readavatar import speech
from readavatar.errors import UserError
from readavatar.speech import load_speech_encoder
from readavatar.speech.log_mel import LogMelEncoder
from readavatar.speech.wav2vec2 import Wav2Vec2Encoder, load_wav2vec2
from readavatar.speech.whisper import WhisperEncoder, load_whisper


@pytest.fixture
def whisper_file(tmp_path, audio_encoder):
    """A checkpoint in OpenAI's form (half precision, decoder and final norm included)."""
    state = {f"encoder.{key}": value.half() for key, value in audio_encoder().state_dict().items()}
    state |= {"encoder.ln_post.weight": torch.ones(16).half(), "encoder.ln_post.bias": torch.zeros(16).half()}
    state |= {"decoder.token_embedding.weight": torch.zeros(4, 16).half()}
    sizes = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 16, "n_audio_head": 2, "n_audio_layer": 4}
    torch.save({"dims": sizes, "model_state_dict": state}, tmp_path / "small.pt")
    return tmp_path / "small.pt"


@pytest.mark.parametrize("num_frames", [3000, 240])
def test_whispers_layers_equal_those_of_transformers(audio_encoder, num_frames):
    from transformers import WhisperConfig, WhisperModel

    ours = audio_encoder()
    config = WhisperConfig(
        d_model=16, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=64, num_mel_bins=80, vocab_size=10,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=16, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, max_source_positions=num_frames // 2,
    )  # fmt: skip
    theirs = WhisperModel(config).encoder.eval()
    spelling = {
        "blocks": "layers", "attn_ln": "self_attn_layer_norm", "attn.query": "self_attn.q_proj",
        "attn.key": "self_attn.k_proj", "attn.value": "self_attn.v_proj", "attn.out": "self_attn.out_proj",
        "mlp_ln": "final_layer_norm", "mlp.0": "fc1", "mlp.2": "fc2", "positional_embedding": "embed_positions.weight",
    }  # fmt: skip
    state = {}
    for key, value in ours.state_dict().items():
        for old, new in spelling.items():
            key = key.replace(old, new)
        state[key] = value[: num_frames // 2] if "positions" in key else value
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and all("layer_norm" in key for key in missing)
    mel = torch.randn(1, 80, num_frames)
    with torch.no_grad():
        expected = theirs(mel, output_hidden_states=True).hidden_states
        for layer in range(4):  # the fifth carries the final norm
            # The same sums; an attention kernel may take them in another order.
            torch.testing.assert_close(ours(mel)[layer], expected[layer], atol=1e-4, rtol=1e-4)


def test_a_whisper_checkpoint_is_read_up_to_the_last_layer_asked_for(whisper_file, speechlike):
    encoder = load_speech_encoder("whisper", weights=str(whisper_file))
    assert encoder.layers == (2, 3) and encoder.num_features == 32 and len(encoder.encoder.blocks) == 3
    assert encoder.encode(speechlike(0.4), 25.0, 10).shape == (10, 32)
    assert load_whisper(whisper_file, (0,)).num_features == 16


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04}."])
def test_another_file_is_refused_as_a_whisper_checkpoint(tmp_path, content):
    (tmp_path / "other.pt").write_bytes(content)
    with pytest.raises(UserError, match="Expected an OpenAI Whisper checkpoint") as error:
        load_whisper(tmp_path / "other.pt")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        load_whisper(tmp_path / "absent.pt")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"dims": Malicious(), "model_state_dict": {}}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match="Expected an OpenAI Whisper checkpoint"):
        load_whisper(tmp_path / "bad.pt")


@pytest.mark.parametrize("stable", [False, True])
def test_wav2vec2_cut_off_after_a_layer_gives_what_the_whole_network_gives_there(wav2vec2_model, stable):
    samples = torch.randn(8000)
    with torch.no_grad():
        expected = wav2vec2_model(stable)(samples[None], output_hidden_states=True).hidden_states
        for layer in (0, 1, 2, 3):
            encoder = Wav2Vec2Encoder(wav2vec2_model(stable), (layer,))
            torch.testing.assert_close(encoder.encoder_frames(samples), expected[layer][0])


def test_wav2vec2_loads_from_a_local_folder(tmp_path, wav2vec2_model, speechlike):
    wav2vec2_model().save_pretrained(tmp_path / "weights")
    encoder = load_speech_encoder("wav2vec2", weights=str(tmp_path / "weights"))
    assert encoder.layers == (1, 2) and encoder.num_features == 32
    expected = Wav2Vec2Encoder(wav2vec2_model(), (1, 2))
    torch.testing.assert_close(encoder.encode(speechlike(0.5), 25.0, 12), expected.encode(speechlike(0.5), 25.0, 12))
    assert encoder.fingerprint == expected.fingerprint


def test_absent_wav2vec2_weights_are_one_line(tmp_path):
    with pytest.raises(UserError, match="Expected Wav2Vec2 weights in") as error:
        load_wav2vec2(str(tmp_path / "nowhere"))
    assert "\n" not in str(error.value)


def test_without_transformers_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"readavatar\[speech\]"):
        load_wav2vec2()


def test_auto_takes_the_best_that_is_on_this_machine(monkeypatch, whisper_file, wav2vec2_model):
    monkeypatch.setattr(speech, "has_local_wav2vec2", lambda: False)
    monkeypatch.setattr(speech, "find_asset", lambda name: None)
    assert load_speech_encoder().name == "log_mel"
    assert "readavatar assets get whisper_tiny_en" in load_speech_encoder().description
    monkeypatch.setattr(speech, "find_asset", lambda name: whisper_file)
    assert load_speech_encoder().name == "whisper"
    assert "Wav2Vec2's weights are not on this machine" in load_speech_encoder().description
    monkeypatch.setattr(speech, "has_local_wav2vec2", lambda: True)
    monkeypatch.setattr(speech, "load_wav2vec2", lambda *a, **k: Wav2Vec2Encoder(wav2vec2_model(), (1,), "here"))
    assert load_speech_encoder().name == "wav2vec2"


def test_the_fingerprint_follows_weights_and_settings(audio_encoder):
    def encoder(layers=(2, 3)):
        return WhisperEncoder(audio_encoder(), layers, "random")

    assert encoder().fingerprint == encoder().fingerprint
    assert encoder((1, 2)).fingerprint != encoder().fingerprint
    changed = encoder()
    changed.encoder.conv1.bias[0] += 1
    assert changed.fingerprint != encoder().fingerprint
    assert LogMelEncoder(40).fingerprint != LogMelEncoder(80).fingerprint


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "hubert"},
        {"name": "log_mel", "layers": [1]},
        {"name": "auto", "weights": "x"},
    ],
)
def test_what_does_not_fit_together_is_refused(arguments):
    with pytest.raises(UserError, match="Expected"):
        load_speech_encoder(**arguments)


def test_a_layer_that_does_not_exist_is_refused(whisper_file, wav2vec2_model):
    with pytest.raises(UserError, match="from 0 to 4"):
        load_whisper(whisper_file, (5,))
    with pytest.raises(UserError, match="from 0 to 3"):
        Wav2Vec2Encoder(wav2vec2_model(), (-1,))
