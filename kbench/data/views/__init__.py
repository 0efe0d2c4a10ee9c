"""How an epoch sees a sample: augmentation, crops, normalisation, hashed random numbers."""
