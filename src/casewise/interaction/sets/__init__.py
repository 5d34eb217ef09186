"""Sets: how the accepted masks of a structure lead the segmentation of the next image."""
