"""What a training step of the appearance stage costs beside its networks.

The appearance stage against the clock: what training and ``animate`` cost beside the networks, and the ladder.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from rich.console import Console

from readavatar.appearance import AppearanceModule
from readavatar.appearance.augmentation import Crops, choose_crops
from readavatar.appearance.inference import soft_edge, uses_bfloat16
from readavatar.appearance.losses import Rendered
from readavatar.benchmarks.appearance.actor_films import default_model
from readavatar.benchmarks.appearance.speed_rendering import (
    NUM_FRAMES,
    add_expression_part,
    time_animation,
    time_renderer,
)
from readavatar.benchmarks.scorecard import Figure, print_figures
from readavatar.data.datasets.appearance_clips import AppearanceBatch, load_appearance_clip
from readavatar.data.datasets.speech_features import load_described_encoder
from readavatar.data.raster.render_inputs import MapSettings, RenderInputs
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar
from readavatar.files import replacing_file
from readavatar.morphable import load_morphable_model
from readavatar.synthetic import write_actor_clip
from readavatar.training import train

WARM_UP = 2
"""Steps that do not count: first allocations, the trial of precisions."""


class StepTimer(pl.Callback):
    """Times every step from the last one's end to its own, and after each the bare passes on the same batch.

    Side by side, so that both have the same neighbours on the machine. The whole has all that Lightning, the data and
    the logs do between two steps.
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
        """The clock runs."""
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
    """Forward and backward of every network that a step asks, and nothing else."""
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
"""The configs of configs/appearance, and how many of their steps are timed: a step of ``high`` takes a CPU minutes."""
FILM_SIZES = {"fast": 256, "default": 256, "high": 512}
"""Of the footage, pixels; a rung that names no size of its own trains at this one."""
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
    """Time training steps, ``animate`` and the renderer of each rung on a digital actor's film.

    Args:
        morphable_model: Of the actor; ``ict`` where it is here, else ``builtin``.
        configs: Put over each rung's.
        rungs: Of ``LADDER``.
        work: Folder for the film; the trainings of a few steps there are made anew.
        console: Where a table of the figures is printed; by default nowhere.

    Returns:
        By ``rung: what``; shares in per cent of the networks' own time.
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
