"""How an epoch sees a sample: augmentation, crops, normalisation, random numbers by sample."""
