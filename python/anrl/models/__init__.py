"""The network of ANRL and the way to and from the official parameter names."""

from anrl.models.anrl_net import ANRLNet, ANRLOutput
from anrl.models.conv_block import ConvBlock
from anrl.models.tface import anrl_to_tface, tface_to_anrl

__all__ = ["ANRLNet", "ANRLOutput", "ConvBlock", "anrl_to_tface", "tface_to_anrl"]
