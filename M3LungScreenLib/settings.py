"""Every setting that inference needs; the same object lies in the bundle's card.

Training, inference and the card read one `ModelSettings`, so that a bundle cannot
be run with other windows than it was trained with.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_type_hints

T = TypeVar("T")
Similarity = Literal["dot", "euclidean", "cosine"]
Pooling = Literal["mean", "generalised_mean"]
Correlation = Literal["signed_sum", "softmax", "slices"]
PatientVariant = Literal["max_pooling", "single_scale_a", "multi_scale_a", "multi_scale_ra"]


@dataclass(frozen=True)
class PreprocessingSettings:
    """Section III-A. `margin_px` counts at a 512 matrix."""

    input_size: int = 512
    threshold_hu: int = -300
    margin_px: int = 10
    window_centers_hu: tuple[int, ...] = (-700, -600, -500)
    window_width_hu: int = 1200


@dataclass(frozen=True)
class SliceNetworkSettings:
    """Section III-B and the switches of Table V.

    `map_affine` gives the location map a scale and an offset of its own, fitted
    with its loss; without it the dot product's logits average to the slice's own.
    `pooling` makes one vector of a map of features: the mean, as in the paper, or the
    cube root of the mean cube, in which a small lesion does not drown.
    """

    backbone: str = "resnet50"
    multi_task: bool = True
    attention: bool = True
    coordinates: bool = True
    similarity: Similarity = "dot"
    map_affine: bool = False
    pooling: Pooling = "mean"


@dataclass(frozen=True)
class PatientNetworkSettings:
    """Section III-C and the variants of Table IV.

    `feature_size` is D, `head_size` D', `heads` h; `correlation` is Eq. 2's
    normalisation: the signed sum as printed, softmax over j, or attention between
    slices (n × n). 'single_scale_a' has scales (3,). `standardised` features have, over the
    training patients, mean 0 and spread 1 each: the Gram matrix of features that lie far
    from 0 is the same for all patients.
    """

    variant: PatientVariant = "multi_scale_ra"
    feature_size: int = 3072
    heads: int = 12
    head_size: int = 512
    scales: tuple[int, ...] = (1, 2, 3, 4)
    refinement_layers: int = 2
    correlation: Correlation = "signed_sum"
    standardised: bool = False


@dataclass(frozen=True)
class AssessmentSettings:
    """Eq. 5's T, temperatures of calibration, and when the answer is 'indeterminate'.

    `maximum_spread_over_windows` None does not ask how far the windows lie apart.
    `slab_temperature` divides the logits of a part of the lungs once more: what says much of a
    whole chest says less of a slab. `lesion_logit_scale` and `lesion_logit_offset` make the
    lesion head's answer a probability where slices with and without a lesion are alike frequent
    (Platt scaling).
    `neighbour_sigma_mm` is how far along the patient slices vote on each other's
    lesion, class and map; 0 lets each speak for itself, as in the paper.
    """

    healthy_fraction_threshold: float = 0.99
    temperature: float = 1.0
    slab_temperature: float = 1.0
    minimum_top_probability: float = 0.5
    minimum_top_probability_on_disagreement: float = 0.7
    maximum_spread_over_windows: float | None = None
    lesion_logit_scale: float = 1.0
    lesion_logit_offset: float = 0.0
    neighbour_sigma_mm: float = 0.0


@dataclass(frozen=True)
class LocalizationSettings:
    """`threshold` of the location map, fitted on cases with truth masks."""

    threshold: float = 0.5


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


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "settings") -> T:
    """`cls` from nested plain values; ValueError names a key that is unknown or of a wrong type."""
    hints = get_type_hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        raise ValueError(f"{where} has no {', '.join(sorted(unknown))}; it has {', '.join(hints)}")
    made: dict[str, Any] = {}
    for name, value in values.items():
        kind = hints[name]
        if is_dataclass(kind) and isinstance(value, Mapping):
            made[name] = from_dict(kind, value, f"{where}.{name}")  # type: ignore[arg-type]
        else:
            made[name] = tuple(value) if isinstance(value, list) else value
    return cls(**made)


def with_values(settings: Any, dotted: Mapping[str, Any]) -> Any:
    """`settings` with 'slice_network.similarity': 'cosine' and the like replaced."""
    for key, value in dotted.items():
        head, _, rest = key.partition(".")
        if head not in {each.name for each in fields(settings)}:
            names = ", ".join(each.name for each in fields(settings))
            raise ValueError(f"no setting {head!r}; there are {names}")
        new = with_values(getattr(settings, head), {rest: value}) if rest else value
        settings = replace(settings, **{head: tuple(new) if isinstance(new, list) else new})
    return settings
