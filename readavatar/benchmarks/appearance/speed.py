"""The speed of the appearance stage: a training step and ``animate`` against the networks alone, and the renderer.

Each config of ``configs/appearance`` (fast, default, high) is timed on a digital actor's film.
"""

from __future__ import annotations

import json
import shutil
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import soundfile
import torch
from rich.console import Console
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from readavatar.appearance import AppearanceModule, AppearanceRenderer, render_face
from readavatar.appearance.augmentation import Crops, choose_crops
from readavatar.appearance.inference import soft_edge, uses_bfloat16
from readavatar.appearance.losses import Rendered
from readavatar.benchmarks.appearance.actor_films import default_model
from readavatar.benchmarks.scorecard import Figure, measure, print_figures
from readavatar.data.datasets.appearance_batches import AppearanceBatch
from readavatar.data.datasets.appearance_clips import load_appearance_clip
from readavatar.data.datasets.speech_features import describe_encoder, load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, RenderInputs
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar, load_network, write_avatar_part
from readavatar.directing.animate import animate
from readavatar.emotion import MEAD_EMOTIONS
from readavatar.expression import ExpressionGenerator
from readavatar.expression.settings import NetworkSettings
from readavatar.files import replacing_file
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.morphable import load_morphable_model
from readavatar.morphable.model import MorphableModel
from readavatar.speech import load_speech_encoder
from readavatar.synthetic import write_actor_clip
from readavatar.training import train

BATCH_SIZES = (1, 4, 8, 16)
THREADS = (1, 2)
NUM_FRAMES = 16


class NetworkClock:
    """Measures the time that networks compute, in all threads: every module except the morphable model."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._thread = threading.local()

    @contextmanager
    def running(self) -> Iterator[NetworkClock]:
        """Count the calls of all modules inside this context."""
        handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, arguments: tuple) -> None:
        self._thread.starts = [*getattr(self._thread, "starts", []), time.perf_counter()]

    def _leave(self, module: nn.Module, arguments: tuple, output: object) -> None:
        start = self._thread.starts.pop()
        if not self._thread.starts and not isinstance(module, MorphableModel):
            name = type(module).__name__
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def time_animation(avatar: Path, out: Path, seconds: float) -> tuple[int, float, dict[str, float]]:
    """Time ``animate`` on the CPU, after one run that does not count.

    On a GPU, calls of networks return before they have finished, so that their time could not be measured.

    Args:
        avatar: An avatar with both networks.
        out: Folder for the speech and the clip.
        seconds: Length of the speech: the footage's own sound, repeated.

    Returns:
        The number of frames, the seconds of the whole, and those of the networks by class.
    """
    sound = Avatar(avatar).footage.waveform()
    waveform = sound.repeat(int(seconds * SAMPLE_RATE) // len(sound) + 1)[: int(seconds * SAMPLE_RATE)]
    soundfile.write(out / "speech.wav", waveform.numpy(), SAMPLE_RATE)
    soundfile.write(out / "short.wav", waveform[:SAMPLE_RATE].numpy(), SAMPLE_RATE)
    animate(avatar, out / "short.wav", out / "short.mp4", device="cpu")
    start = time.perf_counter()
    with NetworkClock().running() as clock:
        animation = animate(avatar, out / "speech.wav", out / "speech.mp4", device="cpu")
    return len(animation.emotion), time.perf_counter() - start, clock.seconds


def add_expression_part(avatar: Path) -> None:
    """Add an untrained expression network of the default size; training does not change its speed."""
    config = Avatar(avatar).part_config("appearance")
    encoder, names = load_speech_encoder("auto"), config["expression_names"]
    network = ExpressionGenerator(
        encoder.num_features,
        len(MEAD_EMOTIONS),
        len(names),
        fps=25.0,
        num_people=1,
        **NetworkSettings().generator_sizes,
    )
    description = {
        "network": network.config,
        "speech_encoder": describe_encoder(encoder),
        "morphable_model": config["morphable_model"],
        "expression_names": names,
        "emotion_names": list(MEAD_EMOTIONS),
        "people": [Avatar(avatar).card.name],
        "fps": 25.0,
    }
    write_avatar_part(avatar, "expression", network, description, Avatar(avatar).footage.path)


def time_renderer(avatar: Path, inputs: RenderInputs) -> dict[str, Figure]:
    """Milliseconds for each frame by precision, batch size and threads (no more than the machine has).

    Args:
        avatar: With an appearance part.
        inputs: Inputs of ``NUM_FRAMES`` frames.
    """
    part = Avatar(avatar).part("appearance")
    renderer = load_network(AppearanceRenderer(**part.config["network"]), part)
    threads_before, figures = torch.get_num_threads(), {}
    try:
        for threads in THREADS:
            if threads > max(threads_before, 1):
                continue
            torch.set_num_threads(threads)
            for precision, batch in ((precision, batch) for precision in ("fp32", "bf16") for batch in BATCH_SIZES):
                work = lambda p=precision, b=batch: render_face(renderer, inputs, b, p == "bf16")  # noqa: E731
                name = f"render, {precision}, batch {batch}, {threads} thread(s)"
                figures[name] = measure(work, per=len(inputs.paint_mask), repeats=2)
    finally:
        torch.set_num_threads(threads_before)
    return figures


WARM_UP = 2
"""Steps that do not count: first allocations, and the choice of the precision."""


class StepTimer(pl.Callback):
    """Times every step from the end of the one before, and then the networks' passes alone on the same batch.

    Both are timed one after the other, under the same load of the machine. The whole step includes the work of
    Lightning, data loading and logging.
    """

    def __init__(self, report: str, warm_up: int = WARM_UP) -> None:
        """
        Args:
            report: JSON file that is written at the end: ``{"whole": [ms, …], "bare": [ms, …]}``.
            warm_up: Steps that do not count.
        """
        self.report, self.warm_up = Path(report), warm_up
        self.whole: list[float] = []
        self.bare: list[float] = []
        self._bfloat16: bool | None = None
        self._left = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: AppearanceModule) -> None:
        """Start the clock."""
        self._left = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: AppearanceModule, outputs: object, batch: AppearanceBatch, batch_idx: int
    ) -> None:
        """Stop the whole step's clock and time the bare passes."""
        whole = time.perf_counter() - self._left
        if self._bfloat16 is None:
            self._bfloat16 = _in_bfloat16(pl_module, batch)
        settings, consecutive = pl_module.optimization, pl_module.specification.consecutive
        crops = choose_crops(batch.inputs, settings.crop, settings.attention, consecutive)
        cut, alpha = crops.cut(batch), crops.cut_images(soft_edge(batch.inputs.paint_mask))
        start = time.perf_counter()
        _bare_passes(pl_module, batch, crops, cut, alpha, batch_idx, self._bfloat16)
        if batch_idx >= self.warm_up:
            self.whole.append(1000 * whole)
            self.bare.append(1000 * (time.perf_counter() - start))
        self._left = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: AppearanceModule) -> None:
        """Write the report."""
        with replacing_file(self.report) as temporary:
            temporary.write_text(json.dumps({"whole": self.whole, "bare": self.bare}))


def overhead(whole: list[float], bare: list[float]) -> float:
    """How much a step costs on top of its bare passes, per cent: the median of the pairs."""
    return 100 * statistics.median(a / b - 1 for a, b in zip(whole, bare, strict=True))


def _in_bfloat16(module: AppearanceModule, batch: AppearanceBatch) -> bool:
    one = batch.inputs.frames(slice(0, 1))

    def work(bfloat16: bool) -> None:
        with torch.autocast(module.device.type, torch.bfloat16, enabled=bfloat16):
            module.renderer(one).mean().backward()

    return uses_bfloat16(module.optimization.precision, work, module.device)


def _bare_passes(
    module: AppearanceModule,
    whole: AppearanceBatch,
    crops: Crops,
    cut: AppearanceBatch,
    alpha: torch.Tensor,
    step: int,
    bfloat16: bool,
) -> None:
    """Forward and backward passes of all networks in a step, and nothing else."""
    settings, objective = module.optimization, module.objective
    module.zero_grad()
    with torch.autocast(module.device.type, torch.bfloat16, enabled=bfloat16):
        rendered = Rendered(cut, module.renderer(cut.inputs), alpha)
        total, _ = objective(rendered, whole, crops, step)
    total.backward()
    if objective.discriminator is not None:
        r1 = 0.0 if step % settings.r1_every else settings.r1 * settings.r1_every
        with torch.autocast(module.device.type, torch.bfloat16, enabled=bfloat16):
            verdict, _ = objective.discriminator_step(rendered, r1)
        verdict.backward()
    if module.device.type != "cpu":
        torch.accelerator.synchronize()


ACTOR = 301
LADDER = {"fast": 12, "default": 12, "high": 3}
"""The configs of configs/appearance, and how many steps of each are timed: on a CPU, a step of ``high`` takes
minutes."""
FILM_SIZES = {"fast": 256, "default": 256, "high": 512}
"""Of the footage, pixels; a config without a size of its own trains at this one."""
FILM_SECONDS, SPOKEN_SECONDS = 3.0, 8.0
TRAINING_AIM, RENDERING_AIM = "≤ 10", "≤ 20"


def bench_appearance_speed(
    *,
    morphable_model: str | None = None,
    configs: Sequence[str] = (),
    rungs: Sequence[str] = tuple(LADDER),
    work: str | Path = "bench_appearance",
    console: Console | None = None,
) -> dict[str, Figure]:
    """Time training steps, ``animate`` and the renderer of each config on a digital actor's film.

    Args:
        morphable_model: Of the actor; ``ict`` where it is here, else ``builtin``.
        configs: Applied over each of the configs.
        rungs: Names of ``LADDER``.
        work: Folder for the film and for the trainings of a few steps, which are always repeated.
        console: Where a table of the figures is printed; by default nowhere.

    Returns:
        By ``config: row``; shares in per cent of the networks' own time.
    """
    work = Path(work) / "speed"
    figures: dict[str, Figure] = {}
    for rung in rungs:
        avatar, size = work / "avatars" / rung, FILM_SIZES[rung]
        store = _film(work / f"film_{size}", size, morphable_model or default_model())
        shutil.rmtree(avatar, ignore_errors=True)
        figures |= {f"{rung}: {name}": each for name, each in _time_training(rung, configs, store, avatar).items()}
        figures |= {f"{rung}: {name}": each for name, each in _time_animation(avatar, work).items()}
        if rung == "default":
            figures |= {f"{rung}: {name}": each for name, each in time_renderer(avatar, _inputs(avatar)).items()}
    if console is not None:
        print_figures(f"appearance, {torch.get_num_threads()} thread(s)", figures, console)
    return figures


def _film(path: Path, size: int, morphable_model: str) -> ClipStore:
    if not (path / "tracking.safetensors").exists():
        options = {"size": size, "duration": FILM_SECONDS, "morphable_model": morphable_model}
        store = write_actor_clip(path, seed=ACTOR, sentences=["We measured every room twice."], **options)
        store.write_tracking(store.truth())
    return ClipStore(path)


def _time_training(rung: str, configs: Sequence[str], store: ClipStore, avatar: Path) -> dict[str, Figure]:
    report, steps = avatar / "steps.json", WARM_UP + LADDER[rung]
    names = [f"configs/appearance/{rung}.yaml"] if rung != "default" else []
    settings = {
        "trainer.max_steps": steps,
        "trainer.val_check_interval": steps,
        "data.held_out_seconds": 0.2,
        "data.validation_frames": 1,
        "trainer.callbacks+": f"{StepTimer.__module__}.{StepTimer.__name__}",
        "trainer.callbacks.report": str(report),
    }
    train("appearance", store.path, configs=[*names, *configs], overrides=settings, avatar=avatar, progress=True)
    times = json.loads(report.read_text())
    shares = [100 * (a / b - 1) for a, b in zip(times["whole"], times["bare"], strict=True)]
    share = Figure(overhead(**times), min(shares), max(shares), "%", TRAINING_AIM)
    return {
        "training step": _spread(times["whole"]),
        "its bare passes": _spread(times["bare"]),
        "training, beside the bare passes": share,
    }


def _spread(milliseconds: list[float]) -> Figure:
    return Figure(statistics.median(milliseconds), min(milliseconds), max(milliseconds), "ms")


def _time_animation(avatar: Path, work: Path) -> dict[str, Figure]:
    add_expression_part(avatar)
    frames, whole, networks = time_animation(avatar, work, SPOKEN_SECONDS)
    total = sum(networks.values())
    figures = {"animate, a frame": _once(1000 * whole / frames, "ms")}
    figures |= {f"of which {name}": _once(1000 * seconds / frames, "ms") for name, seconds in networks.items()}
    return figures | {"animate, beside the networks": _once(100 * (whole / total - 1), "%", RENDERING_AIM)}


def _once(value: float, unit: str, aim: str = "") -> Figure:
    return Figure(value, value, value, unit, aim)


def _inputs(avatar: Path) -> RenderInputs:
    """Real inputs of the avatar's own footage."""
    config, store = Avatar(avatar).part_config("appearance"), Avatar(avatar).footage
    face = store.tracking()
    model = load_morphable_model(face.morphable_model)
    encoder = load_described_encoder(config["speech_encoder"])
    clip = load_appearance_clip(store, face, model, encoder, config["size"], MapSettings(**config["maps"]))
    return clip.batch(range(NUM_FRAMES), config["network"]["speech_window"]).inputs
