"""Registration, of two images of one patient, of many images to one, of crops around boxes; fusion of labels."""
