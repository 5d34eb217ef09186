"""Sets: how the accepted masks of a structure guide the segmentation of the next image."""
