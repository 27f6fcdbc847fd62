"""All settings needed for inference; they are stored in the model card.

Training, inference and the card use the same `ModelSettings`, so a bundle always runs with the
settings it was trained with.
"""

from collections.abc import Mapping
from dataclasses import (
    MISSING,
    asdict,
    dataclass,
    field,
    fields,
    is_dataclass,
    replace,
)
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from M3LungScreenLib.allowed_values import Count, Range, check_values

T = TypeVar("T")
# Ranges hold what makes sense of a CT and of a network that fits a computer, and no more.
HU = Annotated[int, Range(-2000, 4000)]
Share = Annotated[float, Range(0, 1)]
Size = Annotated[int, Range(1, 65536)]
Positive = Annotated[float, Range(0, 1000, over=True)]
Backbone = Literal["resnet50", "efficientnet_lite0"]
Similarity = Literal["dot", "euclidean", "cosine"]
Pooling = Literal["mean", "generalised_mean"]
Correlation = Literal["signed_sum", "softmax", "slices"]
PatientVariant = Literal["max_pooling", "single_scale_a", "multi_scale_a", "multi_scale_ra"]


@dataclass(frozen=True)
class PreprocessingSettings:
    """Section III-A. `margin_px` counts at a 512 matrix."""

    input_size: Annotated[int, Range(32, 4096)] = 512
    threshold_hu: HU = -300
    margin_px: Annotated[int, Range(0, 512)] = 10
    window_centers_hu: Annotated[tuple[HU, ...], Count(1, 16)] = (-700, -600, -500)
    window_width_hu: Annotated[int, Range(1, 8000)] = 1200


@dataclass(frozen=True)
class SliceNetworkSettings:
    """Section III-B and the switches of Table V.

    `map_affine` adds a trainable scale and offset to the location map; without it, the mean of the
    dot product's logits is the slice's logit. `pooling` turns a feature map into a vector: 'mean'
    as in the paper, or the cube root of the mean cube, which preserves small lesions better.
    """

    backbone: Backbone = "resnet50"
    multi_task: bool = True
    attention: bool = True
    coordinates: bool = True
    similarity: Similarity = "dot"
    map_affine: bool = False
    pooling: Pooling = "mean"


@dataclass(frozen=True)
class PatientNetworkSettings:
    """Section III-C and the variants of Table IV.

    `feature_size` is D, `head_size` D', `heads` h. `correlation` is the normalization in Eq. 2: the
    signed sum as printed, softmax over j, or attention between slices (n × n). 'single_scale_a' has
    scales (3,). With `standardised`, features are scaled to mean 0 and standard deviation 1 over
    the training patients; otherwise the Gram matrix is nearly the same for all patients.
    """

    variant: PatientVariant = "multi_scale_ra"
    feature_size: Size = 3072
    heads: Annotated[int, Range(1, 256)] = 12
    head_size: Size = 512
    scales: Annotated[tuple[Annotated[int, Range(1, 64)], ...], Count(1, 16)] = (1, 2, 3, 4)
    refinement_layers: Annotated[int, Range(0, 64)] = 2
    correlation: Correlation = "signed_sum"
    standardised: bool = False


@dataclass(frozen=True)
class AssessmentSettings:
    """T of Eq. 5, calibration temperatures, and thresholds for 'indeterminate'.

    `maximum_spread_over_windows` None turns the check of the display windows off.
    `slab_temperature` also divides the logits if only part of the lungs was scanned.
    `lesion_logit_scale` and `lesion_logit_offset` calibrate P(lesion) for slices with and without
    lesion in equal numbers (Platt scaling). `neighbour_sigma_mm` is the width of the average over
    neighboring slices for lesion, class and map; 0 turns it off, as in the paper.
    """

    healthy_fraction_threshold: Share = 0.99
    temperature: Positive = 1.0
    slab_temperature: Positive = 1.0
    minimum_top_probability: Share = 0.5
    minimum_top_probability_on_disagreement: Share = 0.7
    maximum_spread_over_windows: Share | None = None
    lesion_logit_scale: Positive = 1.0
    lesion_logit_offset: Annotated[float, Range(-1000, 1000)] = 0.0
    neighbour_sigma_mm: Annotated[float, Range(0, 100)] = 0.0


@dataclass(frozen=True)
class LocalizationSettings:
    """`threshold` of the location map, fitted on cases with lesion masks."""

    threshold: Share = 0.5


@dataclass(frozen=True)
class ModelSettings:
    """One model, from HU to label map."""

    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    slice_network: SliceNetworkSettings = field(default_factory=SliceNetworkSettings)
    patient_network: PatientNetworkSettings = field(default_factory=PatientNetworkSettings)
    assessment: AssessmentSettings = field(default_factory=AssessmentSettings)
    localization: LocalizationSettings = field(default_factory=LocalizationSettings)


PRESETS = {
    "paper": ModelSettings(),
    "compact": ModelSettings(
        preprocessing=PreprocessingSettings(input_size=256),
        slice_network=SliceNetworkSettings(
            backbone="efficientnet_lite0", map_affine=True, pooling="generalised_mean"
        ),
        patient_network=PatientNetworkSettings(
            feature_size=432, heads=4, head_size=64, correlation="softmax", standardised=True
        ),
        # The slab's temperature is the best on slabs of simulated patients of a second renderer.
        assessment=AssessmentSettings(slab_temperature=2.0, neighbour_sigma_mm=3.0),
    ),
}


def to_dict(settings: Any) -> dict[str, Any]:
    """Plain values for JSON and YAML."""
    return asdict(settings)


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """`cls` from nested plain values, with lists for tuples.

    Raises ValueError for the first unknown key or invalid value, with the allowed ones.
    """
    made = _made(cls, values, "")
    check_values(made)
    return made


def with_values(settings: T, dotted: Mapping[str, Any]) -> T:
    """`settings` with changes such as 'slice_network.similarity': 'cosine'; ValueError as above."""
    for key, value in dotted.items():
        settings = _with_value(settings, key, value)
    check_values(settings)
    return settings


def _made(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(cls)
    if not isinstance(values, Mapping):
        raise ValueError(
            f"{where or 'settings'} is {values!r} but must be a group of {', '.join(hints)}"
        )
    unknown = set(map(str, values)) - set(hints)
    if unknown:
        names = f"{', '.join(sorted(unknown))}; choose from {', '.join(hints)}"
        raise ValueError(f"{where or 'settings'} has no {names}")
    lacking = [name for name in _needed(cls) if name not in values]
    if lacking:
        raise ValueError(f"{where or 'settings'} lacks {', '.join(lacking)}")
    made: dict[str, Any] = {}
    for name, value in values.items():
        kind, key = hints[name], f"{where}.{name}" if where else name
        if is_dataclass(kind) and not isinstance(value, kind):  # type: ignore[arg-type]
            made[name] = _made(kind, value, key)  # type: ignore[arg-type]
        else:
            made[name] = tuple(value) if isinstance(value, list) else value
    return cls(**made)


def _needed(cls: Any) -> list[str]:
    """The fields without a default."""
    return [e.name for e in fields(cls) if e.default is MISSING and e.default_factory is MISSING]


def _with_value(settings: Any, key: str, value: Any) -> Any:
    head, _, rest = key.partition(".")
    if head not in {each.name for each in fields(settings)}:
        names = ", ".join(each.name for each in fields(settings))
        raise ValueError(f"no setting {head!r}; choose from {names}")
    new = _with_value(getattr(settings, head), rest, value) if rest else value
    return replace(settings, **{head: tuple(new) if isinstance(new, list) else new})
