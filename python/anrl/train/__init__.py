"""Training: the meta step, the configuration and the loop."""

from anrl.train.meta_step import DomainBatch, DomainLosses, LossWeights, MetaStepLosses, meta_step

__all__ = ["DomainBatch", "DomainLosses", "LossWeights", "MetaStepLosses", "meta_step"]
