"""What engines run: the two networks with the outputs that screening needs.

The ONNX graphs of a bundle are exported from these modules; their outputs are the fields of
`engines.interface.SliceOutputs` and `PatientScores`.
"""

import torch
from torch import Tensor, nn

from M3LungScreenLib.networks.patient_network import PatientNetwork
from M3LungScreenLib.networks.slice_network import WITH_LESION, SliceNetwork, SliceOutput


class SliceInference(nn.Module):
    """The slice-level network, with probabilities for logits."""

    def __init__(self, network: SliceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`images` B, 3, S, S in [0, 1]; out come the fields of `SliceOutputs`."""
        out: SliceOutput = self.network(images)
        classes = out.class_logits.float().softmax(dim=1)  # B, 4
        if out.lesion_logits is None or out.map_logits is None:
            # A plain ResNet's p is P_multi-class alone, and it has no map.
            p_lesion = torch.ones_like(classes[:, 0])  # B
            location_map = torch.zeros_like(classes[:, :1, None])  # B, 1, 1
        else:
            p_lesion = out.lesion_logits.float().softmax(dim=1)[:, WITH_LESION]  # B
            location_map = out.map_logits.float().sigmoid()  # B, h, w
        return p_lesion, classes, location_map, out.features


class PatientInference(nn.Module):
    """The patient-level network for one patient, all of whose slices are real."""

    def __init__(self, network: PatientNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """`features` N, D; out come the fields of `PatientScores`."""
        out = self.network(features[None])
        return out.logits[0], out.weights[0]  # 4;  N
