"""Registration: of two images of one patient, and of many images to one."""
