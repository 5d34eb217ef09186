"""Models that nnU-Net v2 planned: their folders, what is done to an image, and how a network slides over it.

nnU-Net (Isensee et al., Nature Methods 2021) derives a network and all that is done to its images from a set of images, and writes
both down in ``plans.json``. Its own code is not used here; networks are of dynamic-network-architectures, which it builds too.
"""
